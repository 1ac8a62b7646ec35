"""Makes a reference of the tensors that a model took and gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foresail_runtime.drift import features, reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.drift.features import View


class Collector:
    """Keeps the features of every row it is shown: eight bytes each."""

    def __init__(self, views: Sequence[View]) -> None:
        self.rows = 0
        self._views = views
        self._numbers: list[list[npt.NDArray[np.float64]]] = [[] for _ in views]
        self._texts: list[list[str]] = [[] for _ in views]

    def add(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the features of some rows."""
        self.rows += max((len(array) for array in inputs.values()), default=0)
        for index, view in enumerate(self._views):
            array = (inputs if view.side == features.INPUT else outputs)[view.tensor]
            if view.is_text:
                self._texts[index] += view.texts(array)
            elif len(array):  # an output may have a row a find, and found nothing
                self._numbers[index].append(view.numbers(array))

    def reference(self, model: str, bins: int) -> reference.Reference:
        """Return the bins that fit these rows; `model` is the digest of its file."""
        found: list[reference.Feature] = []
        for view, numbers, texts in zip(self._views, self._numbers, self._texts, strict=True):
            if view.is_text:
                found.append(reference.of_texts(view.side, view.names[0], texts))
            elif numbers:
                table = np.concatenate(numbers)
                found += [
                    reference.of_numbers(view.side, name, table[:, column], bins)
                    for column, name in enumerate(view.names)
                ]
        return reference.Reference(model, self.rows, tuple(found))
