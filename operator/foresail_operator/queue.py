"""The keyed work queue: whatever happens, it only says "look at this key".

A key is in the queue once at most and with one worker at most; what is asked for while it is being looked at is
looked at once more afterwards. A look that fails comes again after a growing, jittered pause; one that asks to be
repeated comes again at its time, or before it when an event comes first.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from foresail_operator import errors, logs
from foresail_operator.line import Line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foresail_operator.live import Key
    from foresail_operator.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 15.0
"""Also the longest time that passes unused once the API server takes requests again."""
NOT_LEADING_SECONDS: Final = 0.5
"""Between looks of a replica that may not write: its leader loop closes the queue within a turn, and opens it again."""
LOOK_SECONDS: Final = 120.0
"""A look that takes longer is given up: every request in it has a bound of its own, so this is a bug."""


def pause(attempt: int, jitter: float, asked: float | None) -> float:
    """Return how long to wait after the attempt-th failure; `jitter` is between 0 and 1, `asked` the server's wish."""
    grown = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 16))
    return max(asked or 0.0, grown * (0.5 + jitter / 2))


class Queue:
    """Keys to look at, and the workers that look.

    `look` returns the seconds after which it wants to look again, or None; `newcomer` tells of a key whether it has
    not been carried out yet, and so goes before others.
    """

    def __init__(
        self,
        look: Callable[[Key], Awaitable[float | None]],
        metrics: Metrics,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        newcomer: Callable[[Key], bool],
    ) -> None:
        self._look = look
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter
        self._waiting = Line(newcomer)
        self._active: dict[Key, float] = {}
        self._again: dict[Key, float] = {}
        self._failures: collections.Counter[Key] = collections.Counter()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._not_before: dict[Key, float] = {}
        """Until when the API server asked to be left alone with a key."""
        self._wake = asyncio.Event()
        self._open = asyncio.Event()
        self._opened_at = clock()
        """When it was opened last: nobody is late with a key that came before."""

    def add(self, key: Key) -> None:
        """Ask for a look, now, or as soon as the API server wants to hear of the key again."""
        if key in self._active:
            self._again.setdefault(key, self._clock())
            return
        if (timer := self._timers.get(key)) is not None:
            if self._clock() < self._not_before.get(key, 0.0):
                return
            timer.cancel()
            del self._timers[key]
        self._waiting.add(key, self._clock())
        self._wake.set()

    def open(self) -> None:
        """Let the workers work; what waits already is taken for new."""
        if not self._open.is_set():
            self._opened_at = self._clock()
            self._open.set()

    def close(self) -> None:
        """Let no worker begin another look; keys are kept."""
        self._open.clear()

    @property
    def depth(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    @property
    def newcomers(self) -> int:
        """How many keys wait that have not been carried out yet."""
        return self._waiting.newcomers

    def oldest_seconds(self) -> float:
        """How long the oldest key waits or is being looked at; 0 while the queue is closed."""
        if not self._open.is_set():
            return 0.0
        now = self._clock()
        waiting = self._waiting.oldest()
        return now - min((*self._active.values(), now if waiting is None else self._begun(waiting)))

    def _begun(self, since: float) -> float:
        """Return when the wait of a key began that is here since then; a closed queue lets nobody wait."""
        return max(since, self._opened_at)

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(), name=f"worker {number}")

    async def _work(self) -> None:
        while True:
            await self._open.wait()
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            key, since = self._waiting.take()
            self._active[key] = self._clock()
            self._metrics.wait_seconds.observe(self._clock() - self._begun(since))
            with logs.about(key):
                after = await self._try(key)
            self._finish(key, after)

    async def _try(self, key: Key) -> float | None:
        """Look; return after how long to look again."""
        try:
            with self._metrics.look_seconds.time():
                async with asyncio.timeout(LOOK_SECONDS):
                    after = await self._look(key)
        except errors.NotLeading:
            self._metrics.looks.labels("not leading").inc()
            return NOT_LEADING_SECONDS
        except errors.ApiError as error:
            self._metrics.looks.labels("refused" if isinstance(error, errors.Refused) else "failed").inc()
            after = self._failed(key, error.retry_after_seconds)
            if error.retry_after_seconds is not None:
                self._not_before[key] = self._clock() + after
            _LOG.warning(
                "the API server did not take a request", extra={"error": str(error), "again_in": round(after, 2)}
            )
            return after
        except Exception:  # noqa: BLE001  # the queue outlives a bug in one look, and the trace says where it is
            self._metrics.looks.labels("crashed").inc()
            after = self._failed(key, None)
            _LOG.exception("a look failed", extra={"again_in": round(after, 2)})
            return after
        self._failures.pop(key, None)
        self._metrics.looks.labels("done").inc()
        return after

    def _failed(self, key: Key, asked: float | None) -> float:
        self._failures[key] += 1
        return pause(self._failures[key], self._jitter(), asked)

    def _finish(self, key: Key, after: float | None) -> None:
        del self._active[key]
        if not self._failures[key]:
            self._not_before.pop(key, None)
        asked_at = self._again.pop(key, None)
        if asked_at is not None and not self._failures[key]:
            self._waiting.add(key, asked_at)
            self._wake.set()
        elif after is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(after, self._due, key)

    def _due(self, key: Key) -> None:
        with contextlib.suppress(KeyError):
            del self._timers[key]
        self._not_before.pop(key, None)
        self.add(key)
