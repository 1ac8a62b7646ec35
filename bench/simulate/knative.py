"""Knative's pod autoscaler (KPA) with its defaults, written from its published description.

Two averages of the concurrency, over 60 s and over 6 s; every 2 s the first one gives the size. When the short one
asks for twice the ready pods, it panics: the size follows the short average and only grows, until 60 s have
passed without reason to panic. It shrinks at most by half from one decision to the next; growth is free up to a
thousandfold.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.simulate.world import View

STABLE_SECONDS: Final = 60.0
PANIC_SECONDS: Final = 6.0
PANIC_THRESHOLD: Final = 2.0
MAX_SCALE_UP_RATE: Final = 1000.0
MAX_SCALE_DOWN_RATE: Final = 2.0
TICK_SECONDS: Final = 2.0
SCRAPE_SECONDS: Final = 1.0


@dataclasses.dataclass
class Knative:
    """The KPA: concurrency over two windows, and a panic mode."""

    target: float
    panic_since: float | None = None
    panic_pods: int = 0
    next_scrape: float = 0.0
    next_tick: float = TICK_SECONDS
    totals: collections.deque[tuple[float, float]] = dataclasses.field(default_factory=collections.deque)

    def look(self, view: View) -> int | None:
        """Take a sample a second and decide every two."""
        if view.now >= self.next_scrape - 1e-6:
            self.next_scrape += SCRAPE_SECONDS
            self.totals.append((view.now, view.load_seconds))
            while self.totals[0][0] < view.now - STABLE_SECONDS - 1e-6:
                self.totals.popleft()
        if view.now < self.next_tick - 1e-6:
            return None
        self.next_tick += TICK_SECONDS
        return self._decide(view)

    def _decide(self, view: View) -> int:
        ready = max(1, view.ready)
        most, least = math.ceil(MAX_SCALE_UP_RATE * ready), math.floor(ready / MAX_SCALE_DOWN_RATE)
        stable_wanted = math.ceil(self._average(STABLE_SECONDS) / self.target)
        panic_wanted = math.ceil(self._average(PANIC_SECONDS) / self.target)
        stable = min(max(stable_wanted, least), most)
        if panic_wanted / ready >= PANIC_THRESHOLD:
            self.panic_since = view.now
        elif self.panic_since is not None and self.panic_since + STABLE_SECONDS < view.now:
            self.panic_since, self.panic_pods = None, 0
        if self.panic_since is None:
            return stable
        self.panic_pods = max(self.panic_pods, stable, min(max(panic_wanted, least), most))
        return self.panic_pods

    def _average(self, seconds: float) -> float:
        """Return the mean concurrency of the last seconds: the difference of two totals over the time between."""
        end, total = self.totals[-1]
        start, before = next(entry for entry in self.totals if entry[0] >= end - seconds - 1e-6)
        return (total - before) / (end - start) if end > start else 0.0
