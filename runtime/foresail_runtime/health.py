"""Where a server stands between its start and its end, and the words for it.

```
 starting ──> fetching ──> verifying ──> loading ──> warming ──> ready ──> draining ──> stopped
                 └────────────┴─────────────┴───────────┴──> failed(reason, message)
```
How long it stood in each on its way to ready is kept: the parts of a cold start that happen in the process.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class State(enum.StrEnum):
    """A server's state; only READY answers 200 to a readiness probe."""

    STARTING = "starting"
    FETCHING = "fetching"
    VERIFYING = "verifying"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


REASONS: Final = {
    State.STARTING: "Starting",
    State.FETCHING: "FetchingModel",
    State.VERIFYING: "VerifyingModel",
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

    def __init__(self, clock: Callable[[], float] = float, began: float = 0.0) -> None:
        """Begin in STARTING; `began` is when the process did, on the clock. Without a clock durations are 0."""
        self.status = Status(State.STARTING, REASONS[State.STARTING], "the server is starting")
        self.began: Final = began
        self.ready_at: float | None = None
        """When READY was entered for the first time."""
        self._clock = clock
        self._when_settled: list[Callable[[], None]] = []
        self._entered = began
        self._seconds: dict[State, float] = {}

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
        self._count(state)
        self.status = Status(state, REASONS[state], message)
        if state in (State.READY, State.DRAINING, State.STOPPED):
            self._settle()

    @property
    def phases(self) -> dict[State, float]:
        """How long each state on the way to READY took, in seconds."""
        return dict(self._seconds)

    def when_settled(self, call: Callable[[], None]) -> None:
        """Have a function called once the start is over: when it is READY, FAILED or about to end."""
        self._when_settled.append(call)

    def _settle(self) -> None:
        calls, self._when_settled = self._when_settled, []
        for call in calls:
            call()

    def _count(self, state: State) -> None:
        if self.ready_at is not None:
            return
        now, left = self._clock(), self.status.state
        self._seconds[left] = self._seconds.get(left, 0.0) + now - self._entered
        self._entered = now
        if state is State.READY:
            self.ready_at = now

    def fail(self, reason: str, message: str) -> None:
        """Enter FAILED with the reason word and the sentence that say why."""
        if not self.stopping:
            self.status = Status(State.FAILED, reason, message)
            self._settle()

    def say(self, reason: str | None, message: str) -> None:
        """Say how the fetch is going: a reason word when it does not get on, None when it does."""
        if self.status.state is State.FETCHING:
            said = REASONS[State.FETCHING] if reason is None else reason
            self.status = dataclasses.replace(self.status, reason=said, message=message)

    def progress(self, received_bytes: int, total_bytes: int | None) -> None:
        """Say how far the fetch is."""
        if self.status.state is State.FETCHING:
            self.status = dataclasses.replace(self.status, received_bytes=received_bytes, total_bytes=total_bytes)
