"""A model whose batch has a fixed size takes any number of rows: fewer are filled up, more are run in pieces.

Whether it may is for the warm-up to find: a row of padding must not change the answers of the others.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors
from foresail_runtime.engine import warmup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.engine.warmup import Profile, Warmable
    from foresail_runtime.tensors import Signature


def rows(signature: Signature) -> int | None:
    """Return the fixed size of the first dimension, where all inputs and outputs have the same; else None.

    1 counts as none: such a model is run request by request. So does an input of one dimension, which is no batch of
    rows but a row, and one with another dimension that varies: a raw body would not tell its shape any more.
    """
    specs = (*signature.inputs, *signature.outputs)
    sizes = {spec.shape[0] if spec.shape else 0 for spec in specs}
    if len(sizes) != 1 or not all(len(spec.shape) > 1 and -1 not in spec.shape for spec in signature.inputs):
        return None
    (size,) = sizes
    return size if signature.inputs and size > 1 else None


class Padded:
    """An engine of a fixed batch that answers as one of a variable batch does; safe to call as the engine is."""

    def __init__(self, engine: Warmable, size: int) -> None:
        self._engine = engine
        self.rows: Final = size
        """Rows of one run."""
        self.output_names: Final = engine.output_names
        self.providers: Final = engine.providers
        self.signature: Final = engine.signature.of_rows()

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Run as often as the rows need, and return the rows' outputs.

        Raises:
            InvalidRequest: The inputs differ in their number of rows.
            ForesailError: What the engine raises.
        """
        counts = {len(array) for array in inputs.values()}
        if len(counts) != 1:
            raise errors.InvalidRequest(
                f"the inputs have {sorted(counts)} rows: the first dimension has to be the same"
            )
        (count,) = counts
        if count == self.rows:
            return self._engine.run(inputs, outputs)
        pieces = [self._piece(inputs, outputs, start, count) for start in range(0, max(count, 1), self.rows)]
        return pieces[0] if len(pieces) == 1 else [np.concatenate(arrays) for arrays in zip(*pieces, strict=True)]

    def _piece(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], start: int, count: int
    ) -> list[npt.NDArray[Any]]:
        end = min(start + self.rows, count)
        feed = {name: _filled(array[start:end], self.rows) for name, array in inputs.items()}
        return [array[: end - start] for array in self._engine.run(feed, outputs)]


def _filled(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return the array with so many rows: its last row again and again, which the model can work on if on any."""
    missing = size - len(array)
    if missing == 0:
        return array
    if len(array) == 0:
        return np.full((size, *array.shape[1:]), b"" if array.dtype == object else 0, array.dtype)
    return np.concatenate((array, np.repeat(array[-1:], missing, axis=0)))


def warm(engine: Warmable, warm_up: Callable[[Warmable, int], Profile]) -> tuple[Warmable, Profile]:
    """Warm a model up, and return what to run and what was found; padded where its batch is fixed and allows it.

    `warm_up` is told how many rows to run together. All places of a fixed batch are tried, as unlike those of a
    variable one they can be told apart by the model.

    Raises:
        ModelUnusable: What the warm-up raises.
    """
    size = rows(engine.signature)
    if size is None:
        return engine, warm_up(engine, 2)
    padded = Padded(engine, size)
    found = warm_up(padded, size)
    if not found.batchable:
        why = found.note.removesuffix(warmup.ALONE)
        return engine, dataclasses.replace(found, note=f"{why}: it takes batches of {size} rows and no others")
    # A run takes as long with one row as with all of them; a large request is cut into as many as take a moment.
    runs = max(1, int(warmup.PIECE_SECONDS / max(found.run_seconds or warmup.PIECE_SECONDS, 1e-6)))
    return padded, dataclasses.replace(
        found,
        max_rows=size,
        split_rows=size * min(runs, max(1, warmup.MAX_PIECE_ROWS // size)),
        best_rows=size,
        best_seconds=found.run_seconds,
        fixed_rows=size,
    )
