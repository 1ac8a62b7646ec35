"""How fast a model may grow: the HPA's scale-up policies, obeyed by the burst path as well.

Obeying them keeps the two from disagreeing, and keeps a queue that piled up while pods start from being answered
with all the pods there are.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foresail_operator.scaling.window import Window


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """So much growth in so much time: `pods` more, or `percent` more."""

    period_seconds: float = 15.0
    pods: int | None = None
    percent: float | None = None

    def limit(self, base: int) -> int:
        """Return the size that may be reached from `base` replicas."""
        added = base + (self.pods or 0)
        return added if self.percent is None else max(added, math.ceil(base * (1 + self.percent / 100)))


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """Policies and which of them counts: the one that allows most, or (`strictest`) least. None of them: no growth."""

    policies: tuple[Policy, ...] = (Policy(pods=4), Policy(percent=100))
    strictest: bool = False

    @property
    def memory_seconds(self) -> float:
        """How far back the policies look."""
        return max((policy.period_seconds for policy in self.policies), default=0.0)


DEFAULT: Final = Growth()
"""Kubernetes' own: four pods or twice as many in 15 s, whichever is more."""


def limit(growth: Growth, sizes: Window, current: int, now: float) -> int:
    """Return the largest size allowed now, from what the size was at its lowest within each policy's period."""
    limits = []
    for policy in growth.policies:
        lowest = sizes.lowest(now - policy.period_seconds)
        base = current if lowest is None else min(current, int(lowest))
        limits.append(max(current, policy.limit(base)))
    if not limits:
        return current
    return min(limits) if growth.strictest else max(limits)
