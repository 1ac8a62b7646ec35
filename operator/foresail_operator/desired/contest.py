"""Whether somebody else writes a child as well, and will not stop: then it is said, and repaired less often.

    repaired  --MANY times within WINDOW_SECONDS, the same each time-->  contested
    contested --no repair for CALM_SECONDS, or something else is wanted--> repaired

One repair undoes a hand edit. An autoscaler of someone else's, or a controller that has its own view of a field, comes
back: the two would write against each other for as long as both run, and replicas would come and go with it.
"""

from __future__ import annotations

import dataclasses
from typing import Final

MANY: Final = 4
WINDOW_SECONDS: Final = 600.0
CALM_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 30.0
"""Between repairs of what is contested."""


@dataclasses.dataclass(frozen=True, slots=True)
class Repairs:
    """Those of one object: for what was wanted, and when by the monotonic clock."""

    wanted: str = ""
    at: tuple[float, ...] = ()
    contested: bool = False


def repaired(before: Repairs, wanted: str, now: float) -> Repairs:
    """Return the repairs with one more."""
    if before.wanted != wanted:
        before = Repairs(wanted)
    at = (*(one for one in before.at if now - one <= WINDOW_SECONDS), now)[-MANY:]
    return Repairs(wanted, at, contested=is_contested(before, wanted, now) or len(at) == MANY)


def is_contested(repairs: Repairs, wanted: str, now: float) -> bool:
    """Tell whether it still is."""
    return repairs.contested and repairs.wanted == wanted and now - repairs.at[-1] < CALM_SECONDS


def wait(repairs: Repairs, wanted: str, now: float) -> float:
    """Return how many seconds the next repair has to wait."""
    return max(0.0, repairs.at[-1] + PAUSE_SECONDS - now) if is_contested(repairs, wanted, now) else 0.0


def counts(repairs: Repairs, now: float) -> bool:
    """Tell whether what is remembered can still matter."""
    return now - repairs.at[-1] <= WINDOW_SECONDS
