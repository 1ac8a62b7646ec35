"""How fast a model may grow and shrink: the HPA's policies, obeyed by the burst path and where bounds say the size.

Obeying them keeps burst path and HPA from disagreeing, and keeps a queue that piled up while pods start from being
answered with all the pods there are. An HPA whose minimum is its maximum asks for no policy, so who sets them has to.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foresail_operator.scaling.window import Window


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """So much change in so much time: `pods`, or `percent`, more or fewer."""

    period_seconds: float = 15.0
    pods: int | None = None
    percent: float | None = None

    def limit(self, base: int) -> int:
        """Return the size that may be reached from `base` replicas."""
        added = base + (self.pods or 0)
        return added if self.percent is None else max(added, math.ceil(base * (1 + self.percent / 100)))

    def floor(self, base: int) -> int:
        """Return the size down to which `base` replicas may be lowered."""
        left = base - (self.pods or 0)
        return max(0, left if self.percent is None else min(left, math.floor(base * (1 - self.percent / 100))))


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """Policies and which of them counts: the one that allows most, or (`strictest`) least. None of them: no change."""

    policies: tuple[Policy, ...]
    strictest: bool = False
    wait_seconds: float = 0.0
    """For how long a change must have been asked for."""

    @property
    def memory_seconds(self) -> float:
        """How far back the policies look."""
        return max((policy.period_seconds for policy in self.policies), default=0.0)


DEFAULT: Final = Pace((Policy(pods=4), Policy(percent=100)))
"""Kubernetes' own: four pods or twice as many in 15 s, whichever is more."""
DEFAULT_DOWN: Final = Pace((Policy(percent=100),))
"""Kubernetes' own: all that are too many."""


def limit(pace: Pace, sizes: Window, current: int, now: float) -> int:
    """Return the largest size allowed now, from what the size was at its lowest within each policy's period.

    Growth begins at one replica: a wake is none to the HPA, either, which counts only what it added itself.
    """
    limits = []
    for policy in pace.policies:
        lowest = sizes.lowest(now - policy.period_seconds)
        base = current if lowest is None else min(current, max(1, int(lowest)))
        limits.append(max(current, policy.limit(base)))
    if not limits:
        return current
    return min(limits) if pace.strictest else max(limits)


def floor(pace: Pace, sizes: Window, current: int, now: float) -> int:
    """Return the smallest size allowed now, from what the size was at its highest within each policy's period."""
    floors = []
    for policy in pace.policies:
        highest = sizes.highest(now - policy.period_seconds)
        base = current if highest is None else max(current, int(highest))
        floors.append(min(current, policy.floor(base)))
    if not floors:
        return current
    return max(floors) if pace.strictest else min(floors)
