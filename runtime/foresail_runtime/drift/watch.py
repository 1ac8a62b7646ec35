"""Takes a sample of a model's runs and counts its features, within a bounded share of the time.

```
 run ──> every n-th: copy some rows ──> enough rows together: bins, counts
                └ n grows with the rate of runs and what a sample costs, so that samples take `cost` of the time
```
`run` is called wherever the engine's runs are, the loop's thread or the engine's; what is sampled is under a lock,
which scrapes take, too. A run that is not sampled costs a subtraction.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime.drift import features, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.drift.features import View
    from foresail_runtime.drift.reference import Reference
    from foresail_runtime.tensors import Runner

log = logging.getLogger(__name__)

DEFAULT_WINDOW_SECONDS: Final = 3600.0
DEFAULT_COST: Final = 0.01
"""The share of the time that samples may take."""
ROWS_A_RUN: Final = 16
"""Rows taken of one run, spread over it."""
ROWS_TOGETHER: Final = 256
_LARGE_BYTES: Final = 65_536
"""Samples over it are not held until there are more."""
ADAPT_SECONDS: Final = 1.0
"""How often the distance between samples is looked at; sooner if they have taken their share of it already."""
MAX_STRIDE: Final = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The counts at one moment; a row a feature of the reference, as wide as its bins are many."""

    total: tuple[tuple[int, ...], ...]
    recent: tuple[tuple[int, ...], ...]
    rows: int
    """Rows that were sampled since the start."""
    seconds: float
    """What sampling has cost since the start."""
    stride: int
    """Of so many runs one is sampled now."""


class _Bins:
    """The bins of one tensor's features that the reference has, for counting all of them at once."""

    def __init__(self, view: View, reference: Reference) -> None:
        places = {(feature.side, feature.name): index for index, feature in enumerate(reference.features)}
        found = [(column, places.get((view.side, name))) for column, name in enumerate(view.names)]
        pairs = [
            (column, place)
            for column, place in found
            if place is not None and (reference.features[place].categories is not None) == view.is_text
        ]
        self._view = view
        self._columns = [column for column, _ in pairs]
        self.features = [place for _, place in pairs]
        chosen = [reference.features[place] for place in self.features]
        widest = max((len(feature.edges) for feature in chosen), default=0)
        self._edges = np.array([[*feature.edges, *[np.inf] * (widest - len(feature.edges))] for feature in chosen])
        self._missing = np.array([len(feature.counts) - 1 for feature in chosen])
        self._texts = {text: i for feature in chosen for i, text in enumerate(feature.categories or ())}
        self._width = max((len(feature.counts) for feature in chosen), default=0)

    def count(self, array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return a row of counts for each of `features`."""
        if self._view.is_text:
            places = np.array([[self._texts.get(text, self._width - 1)] for text in self._view.texts(array)])
        else:
            values = self._view.numbers(array)[:, self._columns]
            places = (values[:, :, np.newaxis] > self._edges).sum(axis=2)
            places = np.where(np.isnan(values), self._missing, places)
        places += np.arange(len(self.features)) * self._width
        counts = np.bincount(places.reshape(-1), minlength=len(self.features) * self._width)
        return counts.reshape(len(self.features), self._width)


class Watch:
    """The counts of one model's version."""

    def __init__(
        self,
        reference: Reference,
        views: Sequence[View],
        clock: Callable[[], float],
        *,
        window_seconds: float = DEFAULT_WINDOW_SECONDS,
        cost: float = DEFAULT_COST,
    ) -> None:
        self.reference: Final = reference
        self.window_seconds: Final = window_seconds
        self._clock = clock
        self._cost = cost
        bins = [(view, _Bins(view, reference)) for view in views]
        self._bins = {(view.side, view.tensor): made for view, made in bins if made.features}
        self._inputs = [tensor for side, tensor in self._bins if side == features.INPUT]
        self._window = window.Window([len(feature.counts) for feature in reference.features], window_seconds, clock())
        self._held: dict[tuple[str, str], list[npt.NDArray[Any]]] = {key: [] for key in self._bins}
        self._held_rows = 0
        self._lock = threading.Lock()
        self._left = self._stride = 1
        self._rows = 0
        self._seconds = 0.0
        self._broken = False
        self._looked = clock()
        self._seconds_since = 0.0

    def see(self, inputs: Mapping[str, npt.NDArray[Any]], names: Sequence[str], outputs: Sequence[Any]) -> None:
        """Sample a run, if it is its turn; never raises."""
        self._left -= 1
        if self._left > 0 or self._broken:
            return
        start = self._clock()
        with self._lock:
            with self._ending_at_a_mistake():
                self._take(inputs, names, outputs)
                if self._held_rows >= ROWS_TOGETHER:
                    self._count(start)
            self._adapt(start, self._clock())

    def snapshot(self) -> Snapshot:
        """Return the counts as they are now; those that there are, if not all can be had."""
        now = self._clock()
        with self._lock:
            with self._ending_at_a_mistake():
                self._count(now)
            widths = self._window.widths
            total, recent = self._window.total, self._window.recent(now)
            return Snapshot(
                tuple(tuple(row[:width].tolist()) for row, width in zip(total, widths, strict=True)),
                tuple(tuple(row[:width].tolist()) for row, width in zip(recent, widths, strict=True)),
                self._rows,
                self._seconds,
                self._stride,
            )

    @contextlib.contextmanager
    def _ending_at_a_mistake(self) -> Iterator[None]:
        """Watch no more after a mistake of ours: requests and scrapes are answered all the same."""
        try:
            yield
        except Exception:  # whatever it is, it would be the same the next time
            self._broken = True
            log.exception("drift is no longer watched")

    def _take(self, inputs: Mapping[str, npt.NDArray[Any]], names: Sequence[str], outputs: Sequence[Any]) -> None:
        """Copy some rows: the arrays are views of whole requests and answers, which must not be kept.

        What is told of are the inputs' rows: outputs may have a row a find.
        """
        most = 0
        for name in self._inputs:
            most = max(most, self._keep((features.INPUT, name), inputs[name]))
        for name, array in zip(names, outputs, strict=True):
            if (features.OUTPUT, name) in self._bins:
                most = max(most, self._keep((features.OUTPUT, name), array))
        self._held_rows += most
        self._rows += max((len(_some(array)) for array in inputs.values() if array.ndim), default=0)

    def _keep(self, key: tuple[str, str], array: npt.NDArray[Any]) -> int:
        rows = _some(array)
        if not len(rows):  # an output that found nothing
            return 0
        if rows.nbytes > _LARGE_BYTES:  # counted at once, so that little memory is held
            bins = self._bins[key]
            self._window.add(bins.features, bins.count(rows), self._clock())
        else:
            self._held[key].append(rows.copy())
        return len(rows)

    def _count(self, now: float) -> None:
        held, self._held = self._held, {key: [] for key in self._bins}  # let go of first: a mistake is made once
        self._held_rows = 0
        for key, arrays in held.items():
            bins = self._bins[key]
            for array in _join(arrays):
                self._window.add(bins.features, bins.count(array), now)

    def _adapt(self, start: float, end: float) -> None:
        """Set the distance to the next sample so that samples take their share of the time and no more."""
        self._seconds += end - start
        self._seconds_since += end - start
        elapsed = end - self._looked
        if elapsed >= ADAPT_SECONDS or self._seconds_since >= self._cost * ADAPT_SECONDS:
            # If every run were sampled, samples would take this share of the time.
            share = self._seconds_since * self._stride / max(elapsed, 1e-9)
            self._stride = min(MAX_STRIDE, max(1, math.ceil(share / self._cost)))
            self._looked, self._seconds_since = end, 0.0
        self._left = self._stride


def _some(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return up to ROWS_A_RUN rows, spread over all."""
    return array[:: max(1, -(-len(array) // ROWS_A_RUN))]


def _join(arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return as few arrays of the same rows as there can be: rows may be of different lengths."""
    shapes: dict[tuple[int, ...], list[npt.NDArray[Any]]] = {}
    for array in arrays:
        shapes.setdefault(array.shape[1:], []).append(array)
    return [np.concatenate(same) for same in shapes.values()]


class Watched:
    """An engine whose runs are looked at."""

    def __init__(self, engine: Runner, watch: Watch) -> None:
        self._run = engine.run
        self._see = watch.see
        self.output_names: Final = engine.output_names

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Run once; raises what the engine raises."""
        arrays = self._run(inputs, outputs)
        self._see(inputs, outputs, arrays)
        return arrays
