"""How often a new revision is rolled out while someone edits the spec again and again.

The first edit goes out at once. The next waits until a replica of that revision answers or SETTLE_SECONDS have
passed, whichever is first; then the newest edit goes out and those between are never seen by a pod. Sizes, the
autoscaler and everything else that restarts nothing don't wait.
"""

from __future__ import annotations

import dataclasses
from typing import Final

SETTLE_SECONDS: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """The revision that went out last, and when by the monotonic clock."""

    revision: str
    at: float


def wait(last: Pace | None, revision: str, *, available: bool, now: float) -> float | None:
    """Return how many seconds a revision has to wait; None: it goes out now."""
    if last is None or last.revision == revision or available:
        return None
    left = last.at + SETTLE_SECONDS - now
    return left if left > 0 else None
