"""Runs what waits: inline on the loop where a run takes microseconds, else on one thread of its own.

```
 submit ──> engine free, nothing else under way ──> run at once                    (small models)
   │
   └─────> Queue ──> as soon as the engine is free: take a batch ──> run ──> a piece of the outputs to each
             │                                                        └ failed: each request again, alone
             └ full → QueueFull · deadline → DeadlineExceeded · caller cancelled → leaves the queue
```
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from foresail_runtime import errors
from foresail_runtime.batching import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from concurrent.futures import Executor

    import numpy.typing as npt

    from foresail_runtime.tensors import InferRequest, Tensor

    Arrays = list[npt.NDArray[Any]]
    Done = Callable[[Arrays | BaseException], None]

INLINE_SECONDS: Final = 0.0005
"""Models whose run takes longer than this leave the event loop for a thread."""
STALL_SECONDS: Final = 0.005
"""An inline run that takes longer than this is counted; three in a row and the model leaves the loop, too."""
CROWD_RUNS: Final = 16
"""Once requests came together, they are queued for a turn of the loop, until so many runs in a row had but one."""
SWEEP_SECONDS: Final = 0.02
"""How often deadlines of waiting requests are looked at: how late a 504 can be."""


class Runner(Protocol):
    """What is run: an Engine, or whatever answers like one."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> Arrays:
        """Run once."""


class Observer(Protocol):
    """Told of every run, on the loop's thread."""

    def ran(self, rows: int, requests: int, seconds: float) -> None:
        """A run ended, well or not."""

    def waited(self, seconds: float) -> None:
        """A request left the queue for the engine."""


@dataclasses.dataclass(slots=True, eq=False)
class Ticket:
    """One request, or one piece of it, on its way through the engine."""

    inputs: Sequence[Tensor]
    outputs: tuple[str, ...]
    rows: int
    size: int
    lane: tuple[int, Hashable]
    number: int
    since: float
    deadline: float
    done: Done
    over: bool = False
    """It was answered, or nobody waits for it any more."""

    def settle(self, outcome: Arrays | BaseException) -> None:
        """Hand the outcome over, once."""
        if not self.over:
            self.over = True
            self.done(outcome)


class Batcher:
    """Feeds one engine; made and used on the event loop's thread."""

    def __init__(
        self,
        engine: Runner,
        limits: plan.Limits,
        observer: Observer,
        *,
        batched: bool,
        inline: bool,
        executor: Executor,
        delay_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._observer = observer
        self._batched = batched
        self._inline = inline
        self._executor = executor
        self._delay = delay_seconds
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: plan.Queue[Ticket] = plan.Queue()
        self._numbers = itertools.count()
        self._running: list[Ticket] = []
        self._wake: asyncio.Handle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._slow_runs = 0
        self._crowd = 0
        self._in_turn = False
        self._run_since = 0.0
        self._closed = False

    @property
    def queued(self) -> int:
        """Requests that wait for the engine."""
        return self._queue.count

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return self._queue.size

    @property
    def busy(self) -> bool:
        """Whether the engine's thread is at work."""
        return bool(self._running)

    @property
    def running_seconds(self) -> float:
        """How long the run under way on the engine's thread has taken; 0 if there is none."""
        return self._clock() - self._run_since if self._running else 0.0

    @property
    def inline(self) -> bool:
        """Whether runs are so short that they happen on the loop."""
        return self._inline

    def run_alone(self, request: InferRequest, *, at_once: bool = False) -> Arrays | None:
        """Run a request on the loop, now; None if it had better wait its turn, which `at_once` rules out.

        Queueing costs a lone request a turn of the loop and gains nothing. It is not alone if another came in the
        same turn: then several sockets had data at once, and so they will again.
        """
        if not at_once:
            if not self._inline or self._queue.count or self._delay or self._closed:
                return None
            if self._in_turn:
                self._crowd = CROWD_RUNS
            if self._crowd:
                return None
            self._in_turn = True
            self._loop.call_soon(self._end_turn)
        rows = self._rows(request.inputs)
        if rows > self._limits.split_rows and not at_once:
            return None
        start = self._clock()
        feed = {tensor.name: tensor.array for tensor in request.inputs}
        try:
            return self._engine.run(feed, request.outputs or self._engine.output_names)
        finally:
            self._observe(rows, 1, self._clock() - start)

    def check_room(self, ahead: int) -> None:
        """Refuse early what would not get into the queue: `ahead` more are on their way to it.

        Raises:
            QueueFull: Too much waits already, or will.
        """
        if self._queue.count + ahead >= self._limits.queue_count:
            raise errors.QueueFull(
                f"{self._queue.count + ahead} requests wait already: try again in a second, or let the model scale out"
            )

    def submit(self, request: InferRequest, size: int, timeout_seconds: float, done: Done) -> Ticket | None:
        """Let a request wait for its run; `done` is called on the loop with its outputs or its error.

        `size` is the number of bytes the request keeps alive while it waits. None: the request has more rows than
        run at once, nothing was begun, and `infer` has to cut it up.

        Raises:
            QueueFull: Too much waits already.
            InvalidRequest: Its inputs differ in their number of rows.
        """
        self._admit(size)
        rows = self._rows(request.inputs)
        if rows > self._limits.split_rows:
            return None
        return self._push(request, request.inputs, rows, size=size, deadline=self._clock() + timeout_seconds, done=done)

    def drop(self, ticket: Ticket) -> None:
        """Forget a request that nobody waits for any more."""
        ticket.over = True
        self._queue.remove(ticket)

    async def infer(self, request: InferRequest, size: int, timeout_seconds: float) -> Arrays:
        """Return the wanted outputs, in order; cancelling takes the request off the queue.

        Raises:
            QueueFull: Too much waits already.
            DeadlineExceeded: It did not get to the engine, or through it, in time.
            ForesailError: What the engine raised for this request.
        """
        self._admit(size)
        rows = self._rows(request.inputs)
        deadline = self._clock() + timeout_seconds
        if rows <= self._limits.split_rows:
            return await self._wait(request, request.inputs, rows, size, deadline)
        answers = []
        # One piece waits at a time: the requests of others get their turn between two pieces.
        for start, end in plan.cut(rows, self._limits.split_rows):
            part = [tensor._replace(array=tensor.array[start:end]) for tensor in request.inputs]
            answers.append(await self._wait(request, part, end - start, size, deadline))
        return [np.concatenate(arrays) for arrays in zip(*answers, strict=True)]

    def close(self, error: errors.ForesailError) -> None:
        """Fail what waits with that error and take nothing more."""
        self._closed = True
        for ticket in list(self._queue):
            self._queue.remove(ticket)
            ticket.settle(error)
        for handle in (self._wake, self._pause, self._sweep):
            if handle is not None:
                handle.cancel()

    def _admit(self, size: int) -> None:
        if self._closed:
            raise errors.NotReady("the model is being unloaded")
        if not self._queue.has_room(self._limits, size):
            raise errors.QueueFull(
                f"{self._queue.count} requests wait already ({self._queue.size} bytes): try again in a second, "
                "or let the model scale out"
            )

    def _rows(self, inputs: Sequence[Tensor]) -> int:
        if not self._batched:
            return 1
        rows = inputs[0].array.shape[0]
        for tensor in inputs[1:]:
            if tensor.array.shape[0] != rows:
                raise errors.InvalidRequest(
                    f"input {tensor.name!r} has {tensor.array.shape[0]} rows, input {inputs[0].name!r} has {rows}: "
                    "the first dimension is the batch and has to be the same"
                )
        return int(rows)

    def _push(
        self,
        request: InferRequest,
        inputs: Sequence[Tensor],
        rows: int,
        *,
        size: int,
        deadline: float,
        done: Done,
    ) -> Ticket:
        lane = (plan.rank(request.priority), (request.outputs, *[tensor.array.shape[1:] for tensor in inputs]))
        outputs = request.outputs or self._engine.output_names
        ticket = Ticket(inputs, outputs, rows, size, lane, next(self._numbers), self._clock(), deadline, done)
        self._queue.push(ticket)
        self._schedule()
        return ticket

    async def _wait(
        self, request: InferRequest, inputs: Sequence[Tensor], rows: int, size: int, deadline: float
    ) -> Arrays:
        future: asyncio.Future[Arrays] = self._loop.create_future()
        ticket = self._push(
            request, inputs, rows, size=size, deadline=deadline, done=functools.partial(_resolve, future)
        )
        try:
            return await future
        except asyncio.CancelledError:
            self.drop(ticket)
            raise

    def _end_turn(self) -> None:
        self._in_turn = False

    def _schedule(self) -> None:
        if self._pause is not None:  # a batch that waits for company looks again whether it is full
            self._pause.cancel()
            self._pause = None
        if self._wake is None and not self._running:
            self._wake = self._loop.call_soon(self._leave)
        if self._sweep is None and not self._inline:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._expire)

    def _leave(self) -> None:
        """Send the next batch off, if the engine is free."""
        self._wake = self._pause = None
        if self._running:
            return
        until = self._clock() + STALL_SECONDS
        while (head := self._queue.head()) is not None:
            now = self._clock()
            if self._delay and (rest := self._rest_of_delay(head, now)) > 0:
                self._pause = self._loop.call_later(rest, self._leave)
                return
            batch = self._prepare(self._queue.take(self._limits.merge_rows), now)
            if not batch:
                continue
            if not self._inline:
                self._send(batch, now)
                return
            self._run_inline(batch, now)
            if now > until and self._queue.count:  # others on this loop get their turn, too
                self._wake = self._loop.call_soon(self._leave)
                return

    def _rest_of_delay(self, head: Ticket, now: float) -> float:
        if self._queue.rows_with(head) >= self._limits.merge_rows:
            return 0.0
        return head.since + self._delay - now

    def _prepare(self, batch: list[Ticket], now: float) -> list[Ticket]:
        """Leave out whom nobody waits for any more, and answer those that are too late."""
        ready = []
        for ticket in batch:
            if ticket.over:
                continue
            if now > ticket.deadline:
                ticket.settle(_too_late(ticket, now))
                continue
            self._observer.waited(now - ticket.since)
            ready.append(ticket)
        return ready

    def _run_inline(self, batch: list[Ticket], start: float) -> None:
        try:
            outcome: Arrays | BaseException = self._run(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer of these requests
            outcome = error
        self._observe(sum(ticket.rows for ticket in batch), len(batch), self._clock() - start)
        self._crowd = CROWD_RUNS if len(batch) > 1 else max(0, self._crowd - 1)
        if isinstance(outcome, list) or len(batch) == 1:
            _share_out(batch, outcome)
            return
        for ticket in batch:  # one of them spoiled it for all: each again, alone
            self._run_inline([ticket], self._clock())

    def _send(self, batch: list[Ticket], start: float) -> None:
        self._running = batch
        self._run_since = start
        future = self._loop.run_in_executor(self._executor, self._run, batch)
        future.add_done_callback(functools.partial(self._finished, batch, start))

    def _finished(self, batch: list[Ticket], start: float, done: asyncio.Future[Arrays]) -> None:
        self._running = []
        self._observer.ran(sum(ticket.rows for ticket in batch), len(batch), self._clock() - start)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None and len(batch) > 1:
            self._send_each(batch)
            return
        # The engine first, then the answers: it works on the next batch while they are encoded.
        if not self._closed:
            self._leave()
        _share_out(batch, done.result() if error is None else error)

    def _send_each(self, batch: list[Ticket]) -> None:
        """Run the requests of a failed batch again, one by one, before anything else."""
        first, *rest = batch
        for ticket in rest:
            ticket.lane = (-1, ticket.number)  # a lane of its own, before all others
            self._queue.push(ticket)
        self._send([first], self._clock())

    def _run(self, batch: list[Ticket]) -> Arrays:
        """Run on whatever thread this is; raises what the engine raises."""
        first = batch[0]
        if len(batch) == 1:
            feed = {tensor.name: tensor.array for tensor in first.inputs}
            return self._engine.run(feed, first.outputs)
        feed = {
            tensor.name: np.concatenate([item.inputs[index].array for item in batch])
            for index, tensor in enumerate(first.inputs)
        }
        arrays = self._engine.run(feed, first.outputs)
        rows = sum(item.rows for item in batch)
        for name, array in zip(first.outputs, arrays, strict=True):
            if array.shape[:1] != (rows,):
                raise errors.ModelFailed(f"output {name!r} has shape {array.shape} for {rows} rows of input")
        return arrays

    def _observe(self, rows: int, requests: int, seconds: float) -> None:
        self._observer.ran(rows, requests, seconds)
        if seconds <= STALL_SECONDS:
            self._slow_runs = 0
            return
        self._slow_runs += 1
        if self._slow_runs >= 3:
            self._inline = False

    def _expire(self) -> None:
        """Answer the requests whose time is up, whether they wait or run; runs while there are any."""
        self._sweep = None
        now = self._clock()
        for ticket in [ticket for ticket in (*self._queue, *self._running) if now > ticket.deadline]:
            self._queue.remove(ticket)
            ticket.settle(_too_late(ticket, now))
        if self._queue.count or self._running:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._expire)


def _share_out(batch: list[Ticket], outcome: Arrays | BaseException) -> None:
    if len(batch) == 1 or not isinstance(outcome, list):
        for ticket in batch:
            ticket.settle(outcome)
        return
    start = 0
    for ticket in batch:
        end = start + ticket.rows
        ticket.settle([array[start:end] for array in outcome])
        start = end


def _resolve(future: asyncio.Future[Arrays], outcome: Arrays | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, list):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


def _too_late(ticket: Ticket, now: float) -> errors.DeadlineExceeded:
    return errors.DeadlineExceeded(
        f"the request waited {now - ticket.since:.3f} s, longer than its deadline allows: the model is overloaded"
    )
