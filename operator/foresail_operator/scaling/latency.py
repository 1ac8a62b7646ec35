"""From a p95 objective to a number that grows with the load: how many replicas it fills, times the objective.

Latency says little about size: it stays at its floor until a pod is nearly full, and then has no bound. How many
requests a second come does not depend on how many replicas there are, so the question is how many of them one replica
bears. Of a queue with one server (M/M/1), with c requests inside on average,

    busy = c / (1 + c)        p95 in proportion to 1 / (1 - busy)

so a pod that answers x requests a second with a measured p95 would answer

    bearable = x / busy * (1 - (1 - busy) * p95 / objective)

at the objective: right where it is asked for most, near the objective and above it, cautious for pods that work on
several requests at a time. What is served is `objective * requests a second / bearable`, with the objective as the
value wanted a replica: at the size that fits, value / replicas is about the objective.
"""

from __future__ import annotations

import collections
import math
from typing import Final

from foresail_operator.scaling import signal
from foresail_operator.scaling.window import Window

LEARNING_SECONDS: Final = 10.0
"""What is looked at together: long beside a burst."""
SMOOTHING_SECONDS: Final = 30.0
"""Time constant of what is learnt: short beside three minutes to settle in."""
CAUTION: Final = 1.5
"""How much more than it has been seen to bear well a replica is trusted with."""
LEAST: Final = 0.1
"""Of what it answers: so much a replica is said to bear at the least, however late its answers are."""
DRAIN_DEVIATIONS: Final = 2.0
RATE_DEVIATIONS: Final = 4.0
MIN_REQUESTS: Final = 20
"""Fewer answers than this in LEARNING_SECONDS make no p95."""


class LatencyAllowance:
    """How many requests a second a replica may get so that its p95 meets the objective."""

    def __init__(self, objective_seconds: float) -> None:
        self.objective_seconds = objective_seconds
        """May be set to another: what is known then stays until it is learnt anew, in about SMOOTHING_SECONDS."""
        self.bearable: float | None = None
        """Requests a second; None: not known yet."""
        self._held = Window(LEARNING_SECONDS)
        self._rates = Window(LEARNING_SECONDS)
        self._answers: collections.deque[tuple[float, tuple[int, ...]]] = collections.deque()
        self._pods = 0
        self._late = True
        self._begun = -math.inf
        self._since = -math.inf
        self._learnt_at: float | None = None

    def learn(self, now: float, pods: int, held_each: float, rate_each: float, answered: tuple[int, ...]) -> None:
        """Take in what a pod held and answered a second on average, and what was answered meanwhile, by latency.

        After a change of the number of pods or of what they answer, and after a queue was worked off, nothing is learnt
        for a while: what is looked at together then is of different times.
        """
        if pods != self._pods:
            self._pods, self._begun, self._since = pods, now, now
            self._held, self._rates = Window(LEARNING_SECONDS), Window(LEARNING_SECONDS)
            self._answers.clear()
        self._held.add(now, held_each)
        self._rates.add(now, rate_each)
        p95_seconds = self._p95_seconds(now, answered)
        held, rate = (window.mean(now - LEARNING_SECONDS) or 0.0 for window in (self._held, self._rates))
        self._late = self._is_late(p95_seconds, held, rate, now)
        if self._changes(now):
            self._since = now
        if p95_seconds is None or not held or not rate or now < self._since + LEARNING_SECONDS:
            return
        seen = self._estimate(held, rate, p95_seconds)
        if self.bearable is None:
            self.bearable = seen
        passed = 0.0 if self._learnt_at is None else now - self._learnt_at
        self.bearable += (1 - math.exp(-min(passed, LEARNING_SECONDS) / SMOOTHING_SECONDS)) * (seen - self.bearable)
        self._learnt_at = now

    def value_milliseconds(self, arriving: float, held: float) -> float:
        """Return what is served for so many requests a second, of which so many are there: no latency of any request.

        While nothing is known of what a replica bears, one request at a time is; but those that are there are enough
        unless what they answer is late, or too little to tell: an operator that has just started knows no more.
        """
        if self.bearable is not None:
            return 1000 * self.objective_seconds * arriving / self.bearable
        return 1000 * self.objective_seconds * (held if self._late else min(held, self._pods))

    @property
    def unit_milliseconds(self) -> float:
        """How much one request adds to the value."""
        return 1000 * self.objective_seconds / (self.bearable or 1.0)

    def _is_late(self, p95_seconds: float | None, held: float, rate: float, now: float) -> bool:
        """Return whether these pods answer later than wanted, or too little for long enough to know.

        Before there are answers enough, how many are held says it: so many come in as long as each stays (Little).
        """
        if p95_seconds is not None:
            return p95_seconds > self.objective_seconds
        seconds = now - self._begun
        return seconds >= LEARNING_SECONDS or (
            held > rate * self.objective_seconds and seconds >= self.objective_seconds
        )

    def _changes(self, now: float) -> bool:
        """Return whether fewer are there than a moment ago, or more or fewer are answered, by more than chance."""
        middle = now - LEARNING_SECONDS / 2
        held, rates = (
            (window.mean(now - LEARNING_SECONDS, middle) or 0.0, window.mean(middle) or 0.0)
            for window in (self._held, self._rates)
        )
        before, after = (one * self._pods for one in held)
        drained = before - after > DRAIN_DEVIATIONS * math.sqrt(before)
        early, late = (one * self._pods * LEARNING_SECONDS / 2 for one in rates)  # requests
        return drained or abs(late - early) > RATE_DEVIATIONS * math.sqrt(early + late)

    def _estimate(self, held: float, rate: float, p95_seconds: float) -> float:
        busy = held / (1 + held)
        found = rate / busy * (1 - (1 - busy) * p95_seconds / self.objective_seconds)
        trusted = max(self.bearable or 0.0, CAUTION * rate)  # what was borne once is: a quiet hour unlearns nothing
        return max(LEAST * rate, min(found, trusted))

    def _p95_seconds(self, now: float, answered: tuple[int, ...]) -> float | None:
        self._answers.append((now, answered))
        while self._answers[0][0] <= now - LEARNING_SECONDS:
            self._answers.popleft()
        counts = signal.add_counts(counts for _, counts in self._answers)
        return signal.quantile_seconds(counts, 0.95) if sum(counts) >= MIN_REQUESTS else None
