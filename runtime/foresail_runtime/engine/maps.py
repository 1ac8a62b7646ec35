"""Makes one tensor of the maps into which converters put the scores of classes.

scikit-learn's, LightGBM's and CatBoost's give, unless told otherwise (CatBoost's can't be), a sequence with a map from
class to score for each row: ONNX's ZipMap. As a tensor it is [rows, classes], the classes in ascending order, as the
columns of scikit-learn's `predict_proba` are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

TYPES: Final = frozenset(f"seq(map({key},tensor(float)))" for key in ("int64", "string"))
"""What ONNX Runtime calls them."""


def classes(rows: Sequence[Mapping[Any, float]]) -> list[Any]:
    """Return the classes that the columns stand for; none where there are no rows."""
    return sorted(rows[0]) if rows else []


def to_array(name: str, rows: Sequence[Mapping[Any, float]]) -> npt.NDArray[np.float32]:
    """Return the scores of an output of that name, FP32 of shape [rows, classes].

    Raises:
        ModelFailed: Rows have other classes than the first: a map of what was found, and no ZipMap.
    """
    columns = classes(rows)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise errors.ModelFailed(f"output {name!r} has other keys in one row than in another, so it is no tensor")
    scores = [[row[column] for column in columns] for row in rows]
    return np.array(scores, np.float32).reshape(len(rows), len(columns))
