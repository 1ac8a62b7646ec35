"""The bins of every feature and how many rows of the reference data lie in each, as a JSON document.

Numbers have quantile bins: bin i holds what is over edge i-1, up to and with edge i; the last has no upper edge. A
feature of few values has a bin for each, and one below and one above them all, which the reference leaves empty.
Edges are values that occur, and where they are fractions a hair above: a model gives the same row an answer that
differs in its last digits with the number of rows that it runs with, and none of them may leave its bin for that.
Texts have a bin for each of the most frequent, and one for all others. NaN is in a bin of its own.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

FORMAT: Final = "foresail-reference-1"
DEFAULT_BINS: Final = 10
MAX_BINS: Final = 100
MAX_CATEGORIES: Final = 50
MISSING: Final = "missing"
OTHER: Final = "other"
REASON: Final = "DriftReferenceInvalid"
_HAIR: Final = 1e-4
_LEAST_HAIR: Final = 1e-7
"""Probabilities are differences of numbers up to 1, of which FP32 has seven digits."""


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One feature's bins and the reference's counts, `missing` (numbers) or `other` (texts) last."""

    side: str
    """input or output."""
    name: str
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    """Of numbers: upper edges of all bins but the last."""
    categories: tuple[str, ...] | None = None
    """Of texts; None: these are numbers."""

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of the bins: the upper edge of numbers, the text itself."""
        if self.categories is not None:
            return (*self.categories, OTHER)
        return (*map(repr, self.edges), "+Inf", MISSING)


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """What a model's rows looked like when it was made."""

    model: str
    """Digest of the model's file."""
    rows: int
    features: tuple[Feature, ...]

    def encode(self) -> str:
        """Return the document."""
        features = [
            {key: value for key, value in dataclasses.asdict(feature).items() if value is not None and value != ()}
            for feature in self.features
        ]
        document = {"format": FORMAT, "model": self.model, "rows": self.rows, "features": features}
        return json.dumps(document, indent=1, ensure_ascii=False)

    @classmethod
    def decode(cls, text: str) -> Reference:
        """Read what encode wrote.

        Raises:
            ModelUnusable: It is something else.
        """
        try:
            document = json.loads(text)
            features = tuple(map(_feature, {FORMAT: document["features"]}[document["format"]]))
            return cls(str(document["model"]), int(document["rows"]), features)
        except (ValueError, TypeError, KeyError) as error:
            raise errors.ModelUnusable(
                REASON, f"the drift reference can't be read ({error}): make it with foresail reference MODEL DATA OUT"
            ) from error


def _feature(item: dict[str, Any]) -> Feature:
    categories = item.get("categories")
    made = Feature(
        str(item["side"]),
        str(item["name"]),
        tuple(int(count) for count in item["counts"]),
        tuple(float(edge) for edge in item.get("edges", ())),
        None if categories is None else tuple(map(str, categories)),
    )
    if len(made.counts) != len(made.bins) or list(made.edges) != sorted(set(made.edges)) or min(made.counts) < 0:
        raise ValueError(f"feature {made.name!r} has counts that do not fit its bins")
    if not all(map(math.isfinite, made.edges)) or len(made.bins) > MAX_BINS + MAX_CATEGORIES:
        raise ValueError(f"feature {made.name!r} has edges that are no numbers, or too many of them")
    return made


def of_numbers(side: str, name: str, values: npt.NDArray[np.float64], bins: int = DEFAULT_BINS) -> Feature:
    """Return the bins of a feature's numbers, and their counts."""
    edges = choose_edges(values, bins)
    counts = count_numbers(values, np.array(edges))
    return Feature(side, name, tuple(counts.tolist()), edges)


def of_texts(side: str, name: str, values: Sequence[str]) -> Feature:
    """Return the bins of a feature's texts, and their counts."""
    counted = collections.Counter(values)
    frequent = sorted(counted, key=lambda text: (-counted[text], text))[:MAX_CATEGORIES]
    counts = [counted[text] for text in frequent]
    return Feature(side, name, (*counts, len(values) - sum(counts)), categories=tuple(frequent))


def choose_edges(values: npt.NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Return the edges between quantile bins, which are values that occur; each value's own where there are few."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ()
    distinct = np.unique(finite)
    if len(distinct) <= bins:
        below = min(distinct[0] - _hair(distinct[0]), np.nextafter(distinct[0], -np.inf))
        chosen, edges = distinct, [below]
    else:
        chosen, edges = np.unique(np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf")), []
    following = np.append(distinct, np.inf)[np.searchsorted(distinct, chosen) + 1]
    edges += [_above(value, after) for value, after in zip(chosen, following, strict=True)]
    return tuple(float(edge) for edge in edges if math.isfinite(edge))


def _above(value: float, after: float) -> float:
    """Return an edge above a value, by no more than half of what lies between it and the one after it."""
    edge = value + min(_hair(value), (after - value) / 2)
    return edge if edge < after else value


def _hair(value: float) -> float:
    """Return what the rounding of another order of additions may come to; whole numbers are exact."""
    return 0.0 if value.is_integer() else abs(value) * _HAIR + _LEAST_HAIR


def count_numbers(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return how many values lie in each bin, NaN in the last."""
    missing = np.isnan(values)
    places = np.searchsorted(edges, values[~missing], side="left")
    counts = np.bincount(places, minlength=len(edges) + 1)
    return np.append(counts, missing.sum()).astype(np.int64)
