"""How much a status differs from the one that is there, which decides whether and how soon it is written."""

from __future__ import annotations

import enum
from typing import Any, Final

from foresail_operator.api.conditions import Type

NUMBERS_SECONDS: Final = 1.0
"""Numbers are written once they have differed for this long, so what only flickers is never said; what people wait
for is written at once."""
_URGENT: Final = frozenset({Type.READY, Type.STALLED, Type.MODEL_LOADED, Type.AVAILABLE})


class Change(enum.Enum):
    """What differs."""

    NONE = enum.auto()
    NUMBERS = enum.auto()
    """Counts, sentences, and conditions that nobody waits for."""
    STATE = enum.auto()
    """What a person or `kubectl wait` looks at."""


def kind(before: dict[str, Any], after: dict[str, Any]) -> Change:
    """Return what differs between two statuses."""
    if before == after:
        return Change.NONE
    return Change.NUMBERS if _state(before) == _state(after) else Change.STATE


def _state(status: dict[str, Any]) -> tuple[Any, ...]:
    urgent = {
        (one["type"], one["status"], one["reason"]) for one in status.get("conditions") or () if one["type"] in _URGENT
    }
    return status.get("observedGeneration"), status.get("revision"), urgent
