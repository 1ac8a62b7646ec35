"""Which waiting requests share the next run. Decides only: no clock, no loop, no engine.

Requests wait in lanes: all in one lane have the same priority, shapes and wanted outputs, so any of them may
share a run. The next run takes the lane whose first request has the highest priority and came first, and from
it as many requests as fit. A request never overtakes one of its own lane.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


class Waiting(Protocol):
    """What the plan has to know of a request."""

    rows: int
    size: int
    """Bytes it holds while it waits."""
    lane: tuple[int, Hashable]
    """Rank of its priority (lower goes first) and whatever has to be equal for two to share a run."""
    number: int
    """Ever growing: the order of arrival."""


Item = TypeVar("Item", bound=Waiting)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how much may run at once."""

    merge_rows: int
    """Requests are put together up to this many rows; 1: never."""
    split_rows: int
    """A request with more rows is cut into pieces of this many."""
    queue_count: int
    queue_bytes: int


class Queue(Generic[Item]):
    """The waiting requests."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[int, Hashable], collections.deque[Item]] = {}
        self.count = 0
        self.size = 0

    def __iter__(self) -> Iterator[Item]:
        """Yield every waiting request, lane by lane."""
        for lane in self._lanes.values():
            yield from lane

    def has_room(self, limits: Limits, size: int) -> bool:
        """Tell whether one more request of that many bytes may wait."""
        return self.count < limits.queue_count and self.size + size <= limits.queue_bytes

    def push(self, item: Item) -> None:
        """Let a request wait behind those of its lane."""
        lane = self._lanes.get(item.lane)
        if lane is None:
            lane = self._lanes[item.lane] = collections.deque()
        lane.append(item)
        self.count += 1
        self.size += item.size

    def remove(self, item: Item) -> bool:
        """Take a request out that is no longer wanted; False if it waits no more."""
        lane = self._lanes.get(item.lane)
        if lane is None or item not in lane:
            return False
        lane.remove(item)
        if not lane:
            del self._lanes[item.lane]
        self.count -= 1
        self.size -= item.size
        return True

    def head(self) -> Item | None:
        """Return the request that the next run begins with."""
        if not self._lanes:
            return None
        if len(self._lanes) == 1:
            return next(iter(self._lanes.values()))[0]
        return min((lane[0] for lane in self._lanes.values()), key=lambda item: (item.lane[0], item.number))

    def rows_with(self, head: Item) -> int:
        """Return how many rows wait in that request's lane."""
        return sum(item.rows for item in self._lanes[head.lane])

    def take(self, merge_rows: int) -> list[Item]:
        """Take out the requests of the next run; none if none waits."""
        head = self.head()
        if head is None:
            return []
        lane = self._lanes[head.lane]
        batch, rows = [lane.popleft()], head.rows
        while lane and rows + lane[0].rows <= merge_rows:
            rows += lane[0].rows
            batch.append(lane.popleft())
        if not lane:
            del self._lanes[head.lane]
        self.count -= len(batch)
        self.size -= sum(item.size for item in batch)
        return batch


def cut(rows: int, split_rows: int) -> list[tuple[int, int]]:
    """Return the [start, end) pieces that a request of so many rows is run in; at least one, in order."""
    return [(start, min(start + split_rows, rows)) for start in range(0, rows, split_rows)] or [(0, rows)]


def rank(priority: int) -> int:
    """Return a priority's place in the order: 1 is the highest, 0 (none given) comes after all that are given."""
    return priority or 2**31
