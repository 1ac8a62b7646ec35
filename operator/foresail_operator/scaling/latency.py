"""From a p95 objective to a number that grows with the load: what the p95 would be if one replica had it all.

Latency says little about size: it stays at its floor until a pod is full and then has no bound. By Little's law,
though, a pod that answers x requests a second with c of them inside takes c / x, so the load a replica may hold is
about `c * objective / p95` while it is busy. That allowance is learnt slowly and kept, and

    value = objective * load / allowance

is served with the objective as the value wanted a replica. While the size stands, value / replicas is the measured
p95, which is what `kubectl get hpa` shows; when the load falls, the value falls with it, as a p95 at its floor would
not.
"""

from __future__ import annotations

import collections
import math
from typing import Final

from foresail_operator.scaling import signal
from foresail_operator.scaling.window import Window

LEARNING_SECONDS: Final = 10.0
"""Time constant of the allowance: long beside a burst, short beside the three minutes to settle in."""
CAUTION: Final = 1.5
"""How much more than it has been seen to hold well a replica is trusted with."""
MIN_REQUESTS: Final = 20
"""Fewer answers than this in LEARNING_SECONDS make no p95."""


class LatencyAllowance:
    """How many requests a replica may hold so that its p95 meets the objective."""

    def __init__(self, objective_seconds: float) -> None:
        self.objective_seconds = objective_seconds
        self.allowance = 1.0
        self._loads = Window(LEARNING_SECONDS)
        self._answers: collections.deque[tuple[float, tuple[int, ...]]] = collections.deque()
        self._learnt_at: float | None = None

    def learn(self, now: float, load_each: float, answered: tuple[int, ...]) -> None:
        """Take in what a pod held on average, and what was answered meanwhile, counted by latency."""
        self._loads.add(now, load_each)
        p95_seconds = self._p95_seconds(now, answered)
        if p95_seconds is None or load_each <= 0:
            return
        bearable = self._bearable(now, load_each, p95_seconds)
        passed = math.inf if self._learnt_at is None else now - self._learnt_at
        self.allowance += (1 - math.exp(-passed / LEARNING_SECONDS)) * (bearable - self.allowance)
        self._learnt_at = now

    def value_milliseconds(self, load: float) -> float:
        """Return what is served: the p95 that the load would give a single replica, in milliseconds."""
        return self.unit_milliseconds * load

    @property
    def unit_milliseconds(self) -> float:
        """How much one request in flight adds to the value."""
        return 1000 * self.objective_seconds / self.allowance

    def _bearable(self, now: float, load_each: float, p95_seconds: float) -> float:
        ratio = self.objective_seconds / p95_seconds
        if ratio < 1:
            return max(1.0, load_each * ratio)
        # A load that just rose has not slowed its answers yet, so only what was held all the while proves anything;
        # and what was borne once is borne still: a quiet hour unlearns nothing.
        lowest = self._loads.lowest(now - LEARNING_SECONDS) or load_each
        return max(self.allowance, max(1.0, lowest) * min(ratio, CAUTION))

    def _p95_seconds(self, now: float, answered: tuple[int, ...]) -> float | None:
        self._answers.append((now, answered))
        while self._answers[0][0] <= now - LEARNING_SECONDS:
            self._answers.popleft()
        counts = signal.add_counts(counts for _, counts in self._answers)
        return signal.quantile_seconds(counts, 0.95) if sum(counts) >= MIN_REQUESTS else None
