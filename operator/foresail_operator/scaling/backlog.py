"""What a queue that grows or shrinks says of the load behind it.

While replicas are too few a queue piles up, and soon the number of those that wait says nothing of how many come: who
answers it with replicas starts far too many, and takes them away again once it is drained. Its slope tells:

| the queue | what is needed |
|---|---|
| grows, twice in a row by more than chance | as many times what is there as requests come for each that is answered |
| shrinks, and will be gone soon | no more than there is |
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
DRAIN_SECONDS: Final = 15.0
"""A queue that will be gone this soon needs nobody new."""
CATCH_UP: Final = 1.4
DEVIATIONS: Final = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Slope:
    """How fast the queue grows, in requests a second: lately, and before."""

    late: float
    early: float
    answered: float
    """Requests a second."""

    @property
    def chance(self) -> float:
        """What arrivals and answers that come independently make of a queue of constant length."""
        return DEVIATIONS * math.sqrt(2 * self.answered / SLOPE_SECONDS)


class Backlog:
    """Watches the queue of one model."""

    def __init__(self) -> None:
        self._samples: collections.deque[Sample] = collections.deque()

    def add(self, sample: Sample) -> None:
        """Take a sample; times must not go back."""
        self._samples.append(sample)
        while self._samples[0].at < sample.at - 2 * SLOPE_SECONDS - 1e-6:
            self._samples.popleft()

    def limit(self, target: float, replicas: int) -> float:
        """Return how much concurrency is to be reckoned with at most; infinite where the queue doesn't tell."""
        slope = self._slope()
        if slope is None:
            return math.inf
        last = self._samples[-1]
        if min(slope.late, slope.early) > slope.chance:
            full = max(last.concurrency - last.queued, CATCH_UP * target * last.pods)
            return full * (1 + (slope.late + slope.early) / 2 / slope.answered)
        if slope.late < -slope.chance and last.queued / -slope.late < DRAIN_SECONDS:
            return target * replicas
        return math.inf

    def _slope(self) -> _Slope | None:
        """Return the slope; None while too little was seen, or nobody answers."""
        if not self._samples or not self._samples[-1].pods:
            return None
        first, last = self._samples[0], self._samples[-1]
        middle = min(self._samples, key=lambda one: abs(one.at - last.at + SLOPE_SECONDS))
        answered = sum(one.requests_per_second for one in self._samples) / len(self._samples)
        if not first.at < middle.at < last.at or answered <= 0:
            return None
        late = (last.queued - middle.queued) / (last.at - middle.at)
        return _Slope(late, (middle.queued - first.queued) / (middle.at - first.at), answered)
