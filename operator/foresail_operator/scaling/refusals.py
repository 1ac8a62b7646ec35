"""What refused requests say of how many replicas are too few.

A request for which there is no room in the queue is answered at once and holds no place, so what is in flight says
nothing of it: bursts that come now and then leave the mean far below the target while most of each is refused. Nor is
it load to be added up: who is refused comes again, perhaps ten times a second, and would count ten times. So refusals
are no number of requests here, but a fact about replicas:

| a replica that | counts as |
|---|---|
| refuses | full, times (answered + refused) / answered, but as MOST_TIMES at the most: more is not believed in one go |
| answers beside it | what it answers, as a share of what the full ones do |

So a client that keeps to one replica of several gets no more of them, which were no help to it.

More is only believed once the replicas that this asks for are ready and it goes on: evidence is of one number of pods.
And it takes two refusals, REPEATED_SECONDS apart or more, AGAIN_SECONDS at most: who is refused is told to try again in
a second, and one burst that is over by then would be long gone when a replica has started.

    first refusal ──again, 1.5 s later or more──> so many are needed ──they are ready──> looked for anew
                                                       │
                                                       └─> kept for the delay; and while as many requests are answered
                                                           as then one more than refused is, for REMEMBER_SECONDS, and
                                                           each LESS_SECONDS from then on one fewer is tried

Without that memory bursts that go on would be refused again each time that the size has come down.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from foresail_operator.scaling.steady import STABLE_SECONDS
from foresail_operator.scaling.window import Peak, Window

if TYPE_CHECKING:
    from foresail_operator.scaling.signal import Refusal, Sample

REPEATED_SECONDS: Final = 1.5
"""Longer than one burst can be seen: pods are asked at other moments than each other, each twice a second."""
AGAIN_SECONDS: Final = 60.0
MOST_TIMES: Final = 2.0
"""So many times a replica that refuses is asked for at the most, as HPA and burst path double at the most."""
REMEMBER_SECONDS: Final = 600.0
"""After it fewer are tried: what was refused may have been one odd moment of such a load, and a spare replica costs."""
LESS_SECONDS: Final = 60.0
AS_MANY: Final = 0.75
"""A load of this share of what was answered is the same load, to who has too few replicas for its bursts."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Full:
    """A replica that refused: how many it stands for, and its share of what the model answered meanwhile."""

    times: float
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Short:
    """So many replicas are enough, as far as is known: fewer refused, when so many requests a second were answered."""

    at: float
    replicas: int
    answered: float

    def left(self, at: float) -> int:
        """Return how many are still to be tried with, if the load is what it was."""
        over_seconds = at - self.at - REMEMBER_SECONDS
        return self.replicas if over_seconds < 0 else max(0, self.replicas - 1 - int(over_seconds / LESS_SECONDS))


class Refusals:
    """Watches what one model refuses."""

    def __init__(self, hold_seconds: float) -> None:
        self._asked = Peak(hold_seconds)
        self._pods = 0
        self._full: dict[str, _Full] = {}
        self._first_at = self._last_at = -math.inf
        self._refused = Window(STABLE_SECONDS)
        self._answered = Window(STABLE_SECONDS)
        self._carried = Peak(hold_seconds)
        self._short: dict[int, _Short] = {}
        """By the number of replicas that refused: a few may do so already at a load that is little to many."""

    def take(self, sample: Sample) -> None:
        """Take a sample; times must not go back."""
        now = sample.at
        if sample.pods != self._pods:
            self._pods, self._first_at, self._last_at = sample.pods, -math.inf, -math.inf
            self._full.clear()
        if not sample.refusals and self._refused.latest() is None:
            return  # as with most models, which are looked at twice a second
        self._refused.add(now, sample.refused_per_second)
        self._answered.add(now, sample.answered_per_second)
        answered = self._answered.mean(now - STABLE_SECONDS) or 0.0
        self._carried.add(now, answered)
        if not sample.refusals:
            return
        if self._last_at < now - AGAIN_SECONDS:
            self._first_at = now
            self._full.clear()
        self._last_at = now
        self._full.update({one.pod: _full(one, sample) for one in sample.refusals})
        if now - self._first_at >= REPEATED_SECONDS:
            needed = self._needed()
            self._asked.add(now, needed)
            self._short[self._pods] = _Short(now, min(needed, self._pods + 1), answered)

    def needed(self, now: float) -> int:
        """Return for how many replicas the refusals of the last seconds ask; 0 where there are none to speak of."""
        sustained = self._last_at - self._first_at >= REPEATED_SECONDS
        return self._needed() if sustained and self._last_at > now - STABLE_SECONDS else 0

    def held(self, now: float, ahead_seconds: float = 0.0) -> int:
        """Return how many replicas are to be kept since fewer refused; 0 where that is over.

        With `ahead_seconds`: how many will be then, if the load stays as it is.
        """
        asked = round(self._asked.highest(now, ahead_seconds) or 0)
        carried = self._carried.highest(now, ahead_seconds) or 0.0
        alike = (short for short in self._short.values() if 0 < AS_MANY * short.answered <= carried)
        return max(asked, *(short.left(now + ahead_seconds) for short in alike), 0)

    def per_second(self, now: float) -> float:
        """Return how many requests a second were refused in the last seconds."""
        return self._refused.mean(now - STABLE_SECONDS) or 0.0

    def _needed(self) -> int:
        everywhere = self._full.get("")
        full = [one for pod, one in self._full.items() if pod]
        if everywhere is not None:
            return math.ceil(self._pods * max(one.times for one in (everywhere, *full)))
        share = min(1.0, sum(one.share for one in full))
        beside = min(self._pods - len(full), len(full) * (1 - share) / share) if share else 0.0
        needed = sum(one.times for one in full) + max(0.0, beside)
        return math.ceil(round(min(needed, MOST_TIMES * self._pods), 6))  # one of them may have been replaced meanwhile


def _full(refusal: Refusal, sample: Sample) -> _Full:
    answered = refusal.answered_per_second
    times = min(MOST_TIMES, 1 + refusal.refused_per_second / answered) if answered else MOST_TIMES
    return _Full(times, answered / sample.answered_per_second if sample.answered_per_second else 0.0)
