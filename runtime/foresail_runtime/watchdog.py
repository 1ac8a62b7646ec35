"""Finds runs that do not end, from a thread of its own: a model that runs on the event loop holds that up, too.

A thread that hangs in native code can't be stopped, so the process has to end; what is left to do is to say whose run
it was. Once a second every thread's stack is looked at for an engine's run; one that is the same call as a second ago
has gone on since. That costs the runs themselves nothing.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors
from foresail_runtime.engine.session import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

HANG_FACTOR: Final = 10
LOOK_SECONDS: Final = 1.0
LAST_WORDS_SECONDS: Final = 3.0
"""The loop has this long to end the process in good order, if it can."""


@dataclasses.dataclass(slots=True)
class Run:
    """A run under way."""

    call: FrameType
    """Held, so that no other call can be taken for it."""
    engine: Engine
    seconds: float = 0.0
    """How long it has been seen."""


class Runs:
    """The runs that were under way at the last look."""

    def __init__(self) -> None:
        self._known: dict[int, Run] = {}

    def look(self, stacks: Mapping[int, FrameType], elapsed_seconds: float) -> list[Run]:
        """Return the runs that are under way now; `stacks` are the threads' innermost frames."""
        found: dict[int, Run] = {}
        for thread, top in stacks.items():
            call = _run_in(top)
            if call is None:
                continue
            known = self._known.get(thread)
            if known is not None and known.call is call:
                known.seconds += elapsed_seconds
                found[thread] = known
            else:
                found[thread] = Run(call, call.f_locals["self"])
        self._known = found
        return list(found.values())


class Watchdog:
    """Looks once a second until it is stopped, or finds a run that hangs."""

    def __init__(
        self,
        limit_seconds: float,
        usual_seconds: Callable[[Engine], float | None],
        load_seconds: float,
        bark: Callable[[str, errors.ModelUnusable], None],
        bite: Callable[[], None],
    ) -> None:
        """Watch for runs longer than the limit and ten times what is usual.

        `usual_seconds` is a model's mean, None for one that is not served yet: that may take all of `load_seconds`,
        since some providers build their engine in the first run. `bark` is told the model's name and the failure, on
        the watchdog's thread; `LAST_WORDS_SECONDS` later `bite` is called.
        """
        self._limit_seconds = limit_seconds
        self._usual_seconds = usual_seconds
        self._load_seconds = load_seconds
        self._bark = bark
        self._bite = bite
        self._runs = Runs()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _watch(self) -> None:
        pause = min(LOOK_SECONDS, self._limit_seconds / 2)
        # Looks are counted, not the clock: a process that was stopped for an hour has hung nowhere.
        while not self._stop.wait(pause):
            if self.look(pause):
                if not self._stop.wait(LAST_WORDS_SECONDS):
                    self._bite()
                return

    def look(self, elapsed_seconds: float) -> bool:
        """Look once, so long after the last look; tell whether a run hangs, which was barked.

        No stack is kept but those of runs: whatever a thread's calls had in hand would live on until the next look.
        """
        for run in self._runs.look(sys._current_frames(), elapsed_seconds):  # noqa: SLF001  # meant for this very use
            failure = judge(run, self._limit_seconds, self._usual_seconds(run.engine), self._load_seconds)
            if failure is not None:
                self._bark(run.engine.name, failure)
                return True
        return False


def judge(
    run: Run, limit_seconds: float, usual_seconds: float | None, load_seconds: float
) -> errors.ModelUnusable | None:
    """Return why a run is taken to hang; None: it is not."""
    usual = 0.0 if usual_seconds is None else usual_seconds
    limit = max(limit_seconds, HANG_FACTOR * usual, load_seconds if usual_seconds is None else 0.0)
    if run.seconds <= limit:
        return None
    known = "" if usual_seconds is None else f"; usual are {usual:.3f} s"
    return errors.ModelUnusable(
        "ModelHung",
        f"a run of model {run.engine.name!r} has not ended after {run.seconds:.0f} s{known}",
    )


def _run_in(top: FrameType) -> FrameType | None:
    frame: FrameType | None = top
    while frame is not None and frame.f_code is not Engine.run.__code__:
        frame = frame.f_back
    return frame
