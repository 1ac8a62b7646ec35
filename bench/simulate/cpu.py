"""A plain HorizontalPodAutoscaler on cpu with its defaults, metrics-server included.

metrics-server takes a look every 15 s, the HPA every 15 s; a tenth more or less than the target changes nothing;
it at most doubles or adds four in 15 s and goes down to the highest advice of the last five minutes.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.simulate.world import Setting, View

SYNC_SECONDS: Final = 15.0
METRICS_SECONDS: Final = 15.0
STABILIZATION_SECONDS: Final = 300.0
TOLERANCE: Final = 0.1


@dataclasses.dataclass
class CpuAutoscaler:
    """An HPA whose target is the same share of a pod's slots that the other policies aim at."""

    setting: Setting
    next_scrape: float = 0.0
    next_sync: float = 5.0
    """A third of a period after metrics-server: neither the best nor the worst place to stand."""
    scraped: tuple[float, float, int] = (0.0, 0.0, 0)
    usage: float | None = None
    measured: int = 0
    advice: collections.deque[tuple[float, int]] = dataclasses.field(default_factory=collections.deque)

    def look(self, view: View) -> int | None:
        """Take cpu usage every 15 s and decide every 15 s."""
        if view.now >= self.next_scrape - 1e-6:
            self.next_scrape += METRICS_SECONDS
            self._scrape(view)
        if view.now < self.next_sync - 1e-6:
            return None
        self.next_sync += SYNC_SECONDS
        return self._decide(view)

    def _scrape(self, view: View) -> None:
        at, busy, ready = self.scraped
        if view.now > at:
            self.measured = min(ready, view.ready)
            self.usage = (view.busy_seconds - busy) / (view.now - at)
        self.scraped = (view.now, view.busy_seconds, view.ready)

    def _decide(self, view: View) -> int | None:
        if self.usage is None or not self.measured:
            return None
        ratio = self.usage / self.measured / self.setting.target
        if ratio > 1:  # pods without a reading count as idle when it is about growing
            ratio = self.usage / view.wanted / self.setting.target
            ratio = max(ratio, 1.0)
        wanted = view.wanted if abs(1 - ratio) <= TOLERANCE else math.ceil(ratio * view.wanted)
        self.advice.append((view.now, wanted))
        while self.advice[0][0] < view.now - STABILIZATION_SECONDS:
            self.advice.popleft()
        stabilized = max(replicas for _, replicas in self.advice)
        if wanted > view.wanted:
            return min(wanted, max(2 * view.wanted, view.wanted + 4))
        return min(view.wanted, stabilized)
