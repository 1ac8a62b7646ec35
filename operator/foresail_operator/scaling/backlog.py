"""What a queue that grows or shrinks says of the load behind it.

While replicas are too few a queue piles up, and soon the number of those that wait says nothing of how many come: who
answers it with replicas starts far too many, and takes them away again once it is drained. Its slope tells:

| the queue | what is needed |
|---|---|
| grows evenly, by more than chance | as many times what is there as requests come for each that is answered |
| has grown so a moment ago | the same still: replicas are starting, and its length is the past's |
| shrinks, and will be gone soon | no more than there is |
| was there a moment ago | what has been carried since |
| stays as it is: clients wait for their answers | what its length says |

What is there counts as full: with as many requests as the replicas work on now, and at the least with CATCH_UP times
the target, since replicas that are just enough would never catch up.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foresail_operator.scaling.signal import Sample

SLOPE_SECONDS: Final = 1.0
"""The queue is compared with itself so long ago, and that with itself so long before."""
MEMORY_SECONDS: Final = 6.0
"""So long a queue is remembered that grew: as long as it stands in the level, or a pod takes to start."""
DRAIN_SECONDS: Final = 15.0
"""A queue that will be gone this soon needs nobody new."""
CATCH_UP: Final = 1.4
DEVIATIONS: Final = 3.0
EVEN: Final = 0.3
"""The slower half of a growth has at least this share of its mean; clients that have just come make a jump."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Slope:
    """How fast the queue grows, in requests a second: lately, and before."""

    late: float
    early: float
    answered: float
    """Requests a second."""

    @property
    def mean(self) -> float:
        """Return the slope over the whole time."""
        return (self.late + self.early) / 2

    @property
    def grows(self) -> bool:
        """Return whether it grows by more than chance makes of it, and in either half of the time."""
        return self.mean > self.chance(2 * SLOPE_SECONDS) and min(self.late, self.early) > EVEN * self.mean

    def chance(self, seconds: float) -> float:
        """Return the slope that arrivals and answers that come independently give a queue of constant length."""
        return DEVIATIONS * math.sqrt(2 * self.answered / seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class _Growth:
    """A queue that grew: what the replicas worked on then, and how many times as much they would have had to."""

    at: float
    busy: float
    pods: int
    times: float

    def needed(self, target: float) -> float:
        """Return the concurrency that would have kept it from growing."""
        return max(self.busy, CATCH_UP * target * self.pods) * self.times


class Backlog:
    """Watches the queue of one model."""

    def __init__(self) -> None:
        self._samples: collections.deque[Sample] = collections.deque()
        self._growth: _Growth | None = None

    def add(self, sample: Sample) -> None:
        """Take a sample; times must not go back."""
        self._samples.append(sample)
        while self._samples[0].at < sample.at - MEMORY_SECONDS - 1e-6:
            self._samples.popleft()
        slope = self._slope()
        if slope is not None and slope.grows:
            busy, times = sample.concurrency - sample.queued, 1 + max(slope.mean, slope.late) / slope.answered
            self._growth = _Growth(sample.at, busy, sample.pods, times)
        elif self._growth is not None and self._growth.at < sample.at - MEMORY_SECONDS:
            self._growth = None

    def limit(self, target: float, replicas: int) -> float:
        """Return how much concurrency is to be reckoned with at most; infinite where the queue doesn't tell."""
        slope = self._slope()
        if slope is None:
            return math.inf
        last, growth = self._samples[-1], self._growth
        if growth is not None and growth.at == last.at:
            return growth.needed(target)
        if self._drains(slope):
            since = [one for one in self._samples if one.at > last.at - SLOPE_SECONDS - 1e-6]
            if any(one.queued for one in since):
                return target * replicas
            return sum(one.concurrency for one in since) / len(since)
        return math.inf if growth is None else max(growth.needed(target), target * replicas)

    def _drains(self, slope: _Slope) -> bool:
        """Return whether the queue is gone, or will be soon, for more than chance: it was longer a moment ago."""
        last = self._samples[-1]
        longest = max(reversed(self._samples), key=lambda one: one.queued)
        seconds, fallen = last.at - longest.at, longest.queued - last.queued
        return (
            seconds > 0 and fallen > slope.chance(seconds) * seconds and last.queued * seconds < DRAIN_SECONDS * fallen
        )

    def _slope(self) -> _Slope | None:
        """Return the slope; None while too little was seen, or nobody answers."""
        if not self._samples or not self._samples[-1].pods:
            return None
        last = self._samples[-1]
        lately = [one for one in self._samples if one.at >= last.at - 2 * SLOPE_SECONDS - 1e-6]
        first = lately[0]
        middle = min(lately, key=lambda one: abs(one.at - last.at + SLOPE_SECONDS))
        answered = sum(one.answered_per_second for one in lately) / len(lately)
        if not first.at < middle.at < last.at or answered <= 0:
            return None
        late = (last.queued - middle.queued) / (last.at - middle.at)
        return _Slope(late, (middle.queued - first.queued) / (middle.at - first.at), answered)
