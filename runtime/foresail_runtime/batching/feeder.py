"""Keeps one engine at work: takes batches off its queue, on the loop where a run takes microseconds, else on a thread.

```
 Queue ── as soon as the engine is free: take a batch ──> run ──> a piece of the outputs to each
   │                                                       └ failed: each request again, alone
   └ deadline → DeadlineExceeded
```
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import time
from typing import TYPE_CHECKING, Final, Protocol

from foresail_runtime.batching import plan, ticket

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from foresail_runtime import errors
    from foresail_runtime.batching.ticket import Arrays, Ticket
    from foresail_runtime.tensors import Runner

STALL_SECONDS: Final = 0.005
"""An inline run that takes longer than this is counted; so many in a row and the model leaves the loop, too."""
STALLS: Final = 20
"""Fewer come in a row by themselves where a machine has more to do than cores, and nothing brings a model back."""
LONG_SECONDS: Final = 0.25
"""One that takes longer than this is enough: no machine that is merely busy holds up a run of microseconds so long."""
CROWD_RUNS: Final = 16
"""Once requests came together, they are queued for a turn of the loop, until so many runs in a row had but one."""
SWEEP_SECONDS: Final = 0.02
"""How often deadlines of waiting requests are looked at: how late a 504 can be."""
_FALL: Final = 0.1
_RISE: Final = 1.02
_LEAST_SECONDS: Final = 1e-5


class Observer(Protocol):
    """Told of every run, on the loop's thread."""

    def ran(self, rows: int, requests: int, seconds: float) -> None:
        """A run ended, well or not."""

    def failed(self, rows: int) -> None:
        """A run that was counted gave no answer."""

    def waited(self, seconds: float) -> None:
        """A request left the queue for the engine."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Requests that share a run on a thread."""

    items: list[Ticket]
    since: float


class Feeder:
    """Runs what waits; made and used on the event loop's thread."""

    def __init__(
        self,
        engine: Runner,
        observer: Observer,
        *,
        merge_rows: int,
        inline: bool,
        executor: Executor,
        instances: int = 1,
        delay_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep `instances` runs at work at a time, on as many threads of the executor; on the loop it is always one."""
        self.engine = engine
        self.inline = inline
        """Runs are so short that they happen on the loop."""
        self.queue: Final[plan.Queue[Ticket]] = plan.Queue()
        self.delay_seconds: Final = delay_seconds
        self.crowd = 0
        """Runs to go until requests are no longer expected to come together; 0: they don't."""
        self.usual_seconds = 0.0
        """How long a run on the loop usually takes, a request; 0 before the first."""
        self.closed = False
        self._refusal: errors.ForesailError | None = None
        """What it was closed with: the answer of whatever comes since."""
        self._observer = observer
        self._merge_rows = merge_rows
        self._executor = executor
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._instances = instances
        self._running: list[Batch] = []
        self._wake: asyncio.Handle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._slow_runs = 0

    @property
    def busy(self) -> bool:
        """Whether a thread of the engine is at work."""
        return bool(self._running)

    @property
    def running_seconds(self) -> float:
        """How long the oldest run under way on a thread has taken; 0 if there is none."""
        return self._clock() - self._running[0].since if self._running else 0.0

    def push(self, item: Ticket) -> None:
        """Let a request wait for its run, or answer it now if nothing runs any more."""
        if self._refusal is not None:  # a piece of a request that was let in before
            item.settle(self._refusal)
            return
        self.queue.push(item)
        if self._pause is not None:  # a batch that waits for company looks again whether it is full
            self._pause.cancel()
            self._pause = None
        if self._wake is None and len(self._running) < self._instances:
            self._wake = self._loop.call_soon(self._leave)
        if self._sweep is None and not self.inline:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._expire)

    def close(self, error: errors.ForesailError) -> None:
        """Fail what waits with that error, and what comes: what runs is answered when its run ends."""
        self.closed = True
        self._refusal = error
        for item in list(self.queue):
            self.queue.remove(item)
            item.settle(error)
        for handle in (self._wake, self._pause, self._sweep):
            if handle is not None:
                handle.cancel()

    def observe(self, rows: int, requests: int, seconds: float) -> None:
        """Count a run on the loop, and leave the loop if too many of them held it up."""
        self._observer.ran(rows, requests, seconds)
        self.usual_seconds = _usual(self.usual_seconds, seconds / requests)
        if seconds <= STALL_SECONDS:
            self._slow_runs = 0
            return
        self._slow_runs += 1
        if self._slow_runs >= STALLS or seconds > LONG_SECONDS:
            self.inline = False

    def observe_failure(self, rows: int) -> None:
        """Count that a run gave no answer."""
        self._observer.failed(rows)

    def _leave(self) -> None:
        """Send the next batch off, if the engine is free."""
        self._wake = self._pause = None
        until = self._clock() + STALL_SECONDS
        while len(self._running) < self._instances and (head := self.queue.head()) is not None:
            now = self._clock()
            if self.delay_seconds and (rest := self._rest_of_delay(head, now)) > 0:
                self._pause = self._loop.call_later(rest, self._leave)
                return
            batch = self._prepare(self.queue.take(self._merge_rows), now)
            if not batch:
                continue
            if not self.inline:
                self._send(batch, now)
                continue
            self._run_inline(batch, now)
            if now > until and self.queue.count:  # others on this loop get their turn, too
                self._wake = self._loop.call_soon(self._leave)
                return

    def _rest_of_delay(self, head: Ticket, now: float) -> float:
        if self.queue.rows_with(head) >= self._merge_rows:
            return 0.0
        return head.since + self.delay_seconds - now

    def _prepare(self, batch: list[Ticket], now: float) -> list[Ticket]:
        """Leave out whom nobody waits for any more, and answer those that are too late."""
        ready = []
        for item in batch:
            if item.over:
                continue
            if now > item.deadline:
                item.settle(ticket.too_late(item, now))
                continue
            self._observer.waited(now - item.since)
            ready.append(item)
        return ready

    def _run_inline(self, batch: list[Ticket], start: float) -> None:
        try:
            outcome: Arrays | BaseException = ticket.run(self.engine, batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer of these requests
            outcome = error
        rows = sum(item.rows for item in batch)
        self.observe(rows, len(batch), self._clock() - start)
        self.crowd = CROWD_RUNS if len(batch) > 1 else max(0, self.crowd - 1)
        if not isinstance(outcome, list):
            self._observer.failed(rows)
        if isinstance(outcome, list) or len(batch) == 1:
            ticket.share_out(batch, outcome)
            return
        for item in batch:  # one of them spoiled it for all: each again, alone
            self._run_inline([item], self._clock())

    def _send(self, batch: list[Ticket], start: float) -> None:
        try:
            future = self._loop.run_in_executor(self._executor, ticket.run, self.engine, batch)
        except RuntimeError as error:  # no thread can be started, or all were let go: a mistake of ours, in its words
            ticket.share_out(batch, error)
            return
        running = Batch(batch, start)
        self._running.append(running)
        future.add_done_callback(functools.partial(self._finished, running))

    def _finished(self, running: Batch, done: asyncio.Future[Arrays]) -> None:
        self._running.remove(running)
        batch = running.items
        rows = sum(item.rows for item in batch)
        self._observer.ran(rows, len(batch), self._clock() - running.since)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._observer.failed(rows)
        if error is not None and len(batch) > 1:
            self._send_each(batch)
            return
        # The engine first, then the answers: it works on the next batch while they are encoded.
        if not self.closed:
            self._leave()
        ticket.share_out(batch, done.result() if error is None else error)

    def _send_each(self, batch: list[Ticket]) -> None:
        """Run the requests of a failed batch again, one by one, before anything else; none once it is closed."""
        if self._refusal is not None:
            ticket.share_out(batch, self._refusal)
            return
        first, *rest = batch
        for item in rest:
            item.lane = (-1, item.number)  # a lane of its own, before all others
            self.push(item)
        self._send([first], self._clock())

    def _expire(self) -> None:
        """Answer the requests whose time is up, whether they wait or run; runs while there are any."""
        self._sweep = None
        now = self._clock()
        for item in [item for item in self.queue if now > item.deadline]:
            self.queue.remove(item)
            item.settle(ticket.too_late(item, now))
        for item in itertools.chain.from_iterable(running.items for running in self._running):
            if now > item.deadline:
                item.settle(ticket.too_slow())
        if self.queue.count or self._running:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._expire)


def _usual(before: float, seconds: float) -> float:
    """Return what is usual after one more run: it follows short runs fast and long ones slowly.

    A run of microseconds that takes milliseconds was interrupted, which says nothing of the next.
    """
    if seconds < before:
        return before + (seconds - before) * _FALL
    return min(seconds, max(before * _RISE, _LEAST_SECONDS))
