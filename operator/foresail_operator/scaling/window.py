"""A stretch of the recent past of one number: its mean, its highest, its lowest.

Time comes in with each value and is never read here, so a window works the same in a simulator and in a cluster.
"""

from __future__ import annotations

import collections
import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Window:
    """Values of the last `span_seconds`, oldest first; its size is bounded by how often something is added."""

    def __init__(self, span_seconds: float) -> None:
        self.span_seconds = span_seconds
        self._entries: collections.deque[tuple[float, float]] = collections.deque()

    def add(self, now: float, value: float) -> None:
        """Add a value; times must not go back."""
        self._entries.append((now, value))
        while self._entries[0][0] < now - self.span_seconds:
            self._entries.popleft()

    def latest(self) -> float | None:
        """Return the last value; None while there is none."""
        return self._entries[-1][1] if self._entries else None

    def mean(self, since: float, until: float = math.inf) -> float | None:
        """Return the mean of what came after `since` and not after `until`; None if nothing did."""
        values = list(self._after(since, until))
        return sum(values) / len(values) if values else None

    def highest(self, since: float) -> float | None:
        """Return the highest of what came after `since`; None if nothing did."""
        return max(self._after(since), default=None)

    def lowest(self, since: float) -> float | None:
        """Return the lowest of what came after `since`; None if nothing did."""
        return min(self._after(since), default=None)

    def _after(self, since: float, until: float = math.inf) -> Iterator[float]:
        newest_first = itertools.takewhile(lambda entry: entry[0] > since, reversed(self._entries))
        return (value for at, value in newest_first if at <= until)


class Peak:
    """The highest value of the last `span_seconds`, at a constant cost however long that is."""

    def __init__(self, span_seconds: float) -> None:
        self.span_seconds = span_seconds
        self._falling: collections.deque[tuple[float, float]] = collections.deque()

    def add(self, now: float, value: float) -> None:
        """Add a value; what came before and is not higher can never be the highest again."""
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((now, value))

    def highest(self, now: float, ahead_seconds: float = 0.0) -> float | None:
        """Return the highest value that is not older than the span, or will not be a while ahead; None if none is."""
        while self._falling and self._falling[0][0] <= now - self.span_seconds:
            self._falling.popleft()
        oldest = now + ahead_seconds - self.span_seconds
        return next((value for at, value in self._falling if at > oldest), None)
