"""The two times that the operator goes by."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(frozen=True, slots=True)
class Clocks:
    """The two times: `monotonic` seconds for durations, `now` as the API writes times."""

    monotonic: Callable[[], float]
    now: Callable[[], str]


def rfc3339() -> str:
    """Return the time as the Kubernetes API writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
