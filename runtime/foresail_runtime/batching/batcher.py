"""The door to one engine: takes requests in, or refuses them, and hands back what their run gave.

```
 request ──> engine free, nothing else under way ──> run at once                    (small models)
    │
    └─────> waits for the feeder: in one piece, or cut up
             └ full → QueueFull · caller cancelled → leaves the queue
```
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from foresail_runtime import errors
from foresail_runtime.batching import feeder, plan, ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from foresail_runtime.batching.feeder import Observer
    from foresail_runtime.batching.ticket import Arrays, Done, Ticket
    from foresail_runtime.tensors import InferRequest, Runner, Tensor

INLINE_SECONDS: Final = 0.0005
"""Models whose run takes longer than this leave the event loop for a thread."""
SHORT_SECONDS: Final = 0.0001
"""Where a run takes no longer than this, a task had better run its request itself than wait for a run of several."""


class Batcher:
    """Takes requests for one engine; made and used on the event loop's thread."""

    def __init__(
        self,
        engine: Runner,
        limits: plan.Limits,
        observer: Observer,
        *,
        batched: bool,
        inline: bool,
        executor: Executor,
        instances: int = 1,
        delay_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.feeder: Final = feeder.Feeder(
            engine,
            observer,
            merge_rows=limits.merge_rows,
            inline=inline,
            executor=executor,
            instances=instances,
            delay_seconds=delay_seconds,
            clock=clock,
        )
        self._queue = self.feeder.queue
        self._limits = limits
        self._batched = batched
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._in_turn = False

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
        return self.feeder.busy

    @property
    def running_seconds(self) -> float:
        """How long the run under way on the engine's thread has taken; 0 if there is none."""
        return self.feeder.running_seconds

    @property
    def inline(self) -> bool:
        """Whether runs are so short that they happen on the loop."""
        return self.feeder.inline

    def run_alone(self, request: InferRequest, *, at_once: bool = False) -> Arrays | None:
        """Run a request on the loop, now; None if it had better wait its turn, which `at_once` rules out.

        Queueing costs a lone request a turn of the loop and gains nothing. It is not alone if another came in the
        same turn: then several sockets had data at once, and so they will again.
        """
        feeder_ = self.feeder
        if not at_once:
            if not feeder_.inline or self._queue.count or feeder_.delay_seconds or feeder_.closed:
                return None
            if self._in_turn:
                feeder_.crowd = feeder.CROWD_RUNS
            if feeder_.crowd:
                return None
            self._in_turn = True
            self._loop.call_soon(self._end_turn)
        rows = self._rows(request.inputs)
        if rows > self._limits.split_rows and not at_once:
            return None
        return self._run_now(request, rows)

    def _run_now(self, request: InferRequest, rows: int) -> Arrays:
        feeder_ = self.feeder
        start = self._clock()
        feed = {tensor.name: tensor.array for tensor in request.inputs}
        try:
            return feeder_.engine.run(feed, request.outputs or feeder_.engine.output_names)
        except BaseException:
            feeder_.observe_failure(rows)
            raise
        finally:
            feeder_.observe(rows, 1, self._clock() - start)

    def run_short(self, request: InferRequest) -> Arrays | None:
        """Run a request on the loop, now, if that costs a task less than to wait; None if it had better wait.

        To wait costs a task two turns of the loop, which is more than what sharing a run of microseconds saves.
        """
        feeder_ = self.feeder
        waits = self._queue.count or feeder_.delay_seconds or feeder_.closed
        short = feeder_.inline and feeder_.usual_seconds <= SHORT_SECONDS
        if short and not waits and self._rows(request.inputs) == 1:
            return self._run_now(request, 1)
        return self.run_alone(request)

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
            TooLarge: It would not fit into an empty queue.
            InvalidRequest: Its inputs differ in their number of rows.
        """
        self._admit(size)
        rows = self._rows(request.inputs)
        if rows > self._limits.split_rows:
            return None
        return self._push(request, request.inputs, rows, size=size, deadline=self._clock() + timeout_seconds, done=done)

    def drop(self, item: Ticket) -> None:
        """Forget a request that nobody waits for any more."""
        item.over = True
        self._queue.remove(item)

    async def infer(self, request: InferRequest, size: int, timeout_seconds: float) -> Arrays:
        """Return the wanted outputs, in order; cancelling takes the request off the queue.

        Raises:
            QueueFull: Too much waits already.
            TooLarge: It would not fit into an empty queue.
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
        self.feeder.close(error)

    def _admit(self, size: int) -> None:
        if self.feeder.closed:
            raise errors.NotReady("the model is being unloaded")
        if size > self._limits.queue_bytes:
            raise errors.TooLarge(
                f"the request holds {size} bytes while it waits, and all that wait may hold "
                f"{self._limits.queue_bytes}: send it in parts, or raise FORESAIL_MAX_QUEUE_BYTES"
            )
        if not self._queue.has_room(self._limits, size):
            raise errors.QueueFull(
                f"{self._queue.count} requests wait already ({self._queue.size} bytes): try again in a second, "
                "or let the model scale out"
            )

    def _rows(self, inputs: Sequence[Tensor]) -> int:
        return ticket.count_rows(inputs) if self._batched else 1

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
        outputs = request.outputs or self.feeder.engine.output_names
        item = ticket.Ticket(inputs, outputs, rows, size, lane, next(self._numbers), self._clock(), deadline, done)
        self.feeder.push(item)
        return item

    async def _wait(
        self, request: InferRequest, inputs: Sequence[Tensor], rows: int, size: int, deadline: float
    ) -> Arrays:
        future: asyncio.Future[Arrays] = self._loop.create_future()
        item = self._push(request, inputs, rows, size=size, deadline=deadline, done=functools.partial(_resolve, future))
        try:
            return await future
        except asyncio.CancelledError:
            self.drop(item)
            raise

    def _end_turn(self) -> None:
        self._in_turn = False


def _resolve(future: asyncio.Future[Arrays], outcome: Arrays | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, list):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
