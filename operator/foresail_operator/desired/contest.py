"""Whether somebody else writes a child as well, and will not stop: then it is said, and repaired less often.

    repaired  --MANY times in a row, for LASTING_SECONDS at least--------> contested
    contested --no repair for CALM_SECONDS, or something else is wanted--> repaired

In a row are repairs of the same field, none CALM_SECONDS after the one before. They undo hand edits, however many come
in a hurry, as from a script. An autoscaler of someone else's, which looks every 15 s, or a controller that has its own
view of a field comes back: the two would write against each other for as long as both run, and replicas would come and
go with it.
"""

from __future__ import annotations

import dataclasses
from typing import Final

MANY: Final = 8
LASTING_SECONDS: Final = 60.0
CALM_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 30.0
"""Between repairs of what is contested, at least."""


@dataclasses.dataclass(frozen=True, slots=True)
class Repairs:
    """Those of one object in a row: for what was wanted, of which field, from when to when by the monotonic clock."""

    wanted: str
    field: str
    first: float
    last: float
    times: int = 1


def repaired(before: Repairs | None, wanted: str, field: str, now: float) -> Repairs:
    """Return the repairs with one more; what is contested stays so, whichever field comes next."""
    if before is None or before.wanted != wanted or is_over(before, now):
        return Repairs(wanted, field, now, now)
    if before.field != field and not is_contested(before, wanted, now):
        return Repairs(wanted, field, now, now)
    return dataclasses.replace(before, field=field, last=now, times=before.times + 1)


def is_contested(repairs: Repairs, wanted: str, now: float) -> bool:
    """Tell whether it is, still."""
    lasting = repairs.times >= MANY and repairs.last - repairs.first >= LASTING_SECONDS
    return lasting and repairs.wanted == wanted and not is_over(repairs, now)


def has_to_wait(repairs: Repairs, wanted: str, now: float) -> bool:
    """Tell whether the next repair comes too soon."""
    return is_contested(repairs, wanted, now) and now - repairs.last < PAUSE_SECONDS


def is_over(repairs: Repairs, now: float) -> bool:
    """Tell whether there was peace for long enough to forget about them."""
    return now - repairs.last >= CALM_SECONDS
