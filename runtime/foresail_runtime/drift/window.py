"""Counts by feature and bin: of all time, which only grow and so add up, and of a sliding window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SLOTS: Final = 12
"""Parts of the window: as a part, not all of it, passes out at once, it slides in steps of a twelfth."""


class Window:
    """Counts for features of different numbers of bins, in one array as wide as the most of them."""

    def __init__(self, widths: Sequence[int], seconds: float, now: float) -> None:
        shape = (len(widths), max(widths, default=0))
        self.widths: Final = tuple(widths)
        self.total: npt.NDArray[np.int64] = np.zeros(shape, np.int64)
        self._slots: npt.NDArray[np.int64] = np.zeros((SLOTS, *shape), np.int64)
        self._slot_seconds = seconds / SLOTS
        self._number = int(now / self._slot_seconds)

    def add(self, features: Sequence[int], counts: npt.NDArray[Any], now: float) -> None:
        """Count rows of some features: a row of counts for each, no feature twice."""
        self._slide(now)
        self.total[features, : counts.shape[1]] += counts
        self._slots[self._number % SLOTS, features, : counts.shape[1]] += counts

    def recent(self, now: float) -> npt.NDArray[np.int64]:
        """Return the counts of the window."""
        self._slide(now)
        return np.asarray(self._slots.sum(axis=0))

    def _slide(self, now: float) -> None:
        number = int(now / self._slot_seconds)
        for passed in range(self._number + 1, min(number, self._number + SLOTS) + 1):
            self._slots[passed % SLOTS] = 0
        self._number = max(number, self._number)
