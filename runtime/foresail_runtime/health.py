"""Where a server stands between its start and its end, and the words for it.

```
 starting ──> fetching ──> loading ──> warming ──> ready ──> draining ──> stopped
                 └────────────┴───────────┴──> failed(reason, message)
```
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Final


class State(enum.StrEnum):
    """A server's state; only READY answers 200 to a readiness probe."""

    STARTING = "starting"
    FETCHING = "fetching"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


REASONS: Final = {
    State.STARTING: "Starting",
    State.FETCHING: "FetchingModel",
    State.LOADING: "LoadingModel",
    State.WARMING: "WarmingUp",
    State.READY: "Ready",
    State.DRAINING: "Draining",
    State.STOPPED: "Stopped",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """A state with its reason word and a sentence."""

    state: State
    reason: str
    message: str = ""
    received_bytes: int | None = None
    total_bytes: int | None = None
    """None while fetching: the source did not say how much there is."""

    def document(self) -> dict[str, object]:
        """Return what a readiness probe is answered with, field by field; `live` and `ready` are for every client."""
        body: dict[str, object] = {"live": True, "ready": self.state is State.READY, "state": self.state.value}
        body |= {"reason": self.reason, "message": self.message}
        if self.state is State.FETCHING:
            body |= {"received_bytes": self.received_bytes or 0, "total_bytes": self.total_bytes}
        return body


class Health:
    """Holds the status; written by the app only, read by everyone, on the loop's thread."""

    def __init__(self) -> None:
        self.status = Status(State.STARTING, REASONS[State.STARTING], "the server is starting")

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        return self.status.state is State.READY

    @property
    def stopping(self) -> bool:
        """Whether the server is on its way out."""
        return self.status.state in (State.DRAINING, State.STOPPED)

    def move(self, state: State, message: str = "") -> None:
        """Enter a state; leaving DRAINING for anything but STOPPED is ignored, since the end was asked for."""
        if self.stopping and state is not State.STOPPED:
            return
        self.status = Status(state, REASONS[state], message)

    def fail(self, reason: str, message: str) -> None:
        """Enter FAILED with the reason word and the sentence that say why."""
        if not self.stopping:
            self.status = Status(State.FAILED, reason, message)

    def say(self, reason: str | None, message: str) -> None:
        """Say how the fetch is going: a reason word when it does not get on, None when it does."""
        if self.status.state is State.FETCHING:
            said = REASONS[State.FETCHING] if reason is None else reason
            self.status = dataclasses.replace(self.status, reason=said, message=message)

    def progress(self, received_bytes: int, total_bytes: int | None) -> None:
        """Say how far the fetch is."""
        if self.status.state is State.FETCHING:
            self.status = dataclasses.replace(self.status, received_bytes=received_bytes, total_bytes=total_bytes)
