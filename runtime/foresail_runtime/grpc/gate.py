"""Lets messages in, no more at a time than there is memory for, as far as that can be told.

grpcio hands over a message when all of it is there, and says how large it is only then. But until it is asked for one,
its sender may send no more than a window, so that calls which wait here hold next to nothing. Each message on its way
counts as much as the largest of late: a burst of larger ones goes over the limit, once. So may streams by one message
each, since nobody can tell one that is idle from one whose message is on its way.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import grpc

from foresail_runtime import errors, room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FADING: Final = 0.98
"""So much of what the largest message counted is left when a smaller one has come: a hundredth after 228."""
TURN_SECONDS: Final = 5.0
"""How long a call waits for others to make room before it is refused."""

_Task = asyncio.Task[Any]


class Source(Protocol):
    """What is used of grpcio's context of a call to read its messages."""

    async def read(self) -> Any:
        """Return the next message, or `grpc.aio.EOF`."""


_SourceType = TypeVar("_SourceType", bound=Source)


class Gate:
    """Of all calls of a server; used on one event loop."""

    def __init__(
        self,
        limit_bytes: int | None,
        largest_bytes: int,
        seconds: float | None,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        """Take what all messages together (None: no limit) and the largest may have, and how long one may take."""
        self._limit = sys.maxsize if limit_bytes is None else limit_bytes
        self._seconds = seconds
        self._turn_seconds = turn_seconds
        self._expected = float(largest_bytes)
        """What a message on its way counts as."""
        self._room = room.Room(self._limit)
        self._waiting: dict[asyncio.Future[None], _Task] = {}
        """Calls whose turn it is not yet, in the order they came."""
        self._coming: dict[_Task, float] = {}
        """Calls whose message is on its way, and since when, in the order they began."""
        self._late: set[_Task] = set()
        self._look: asyncio.TimerHandle | None = None
        """One timer for all: one for each call would cost more than all else that is done here."""

    @property
    def crowded(self) -> bool:
        """Whether there is no room for one message more."""
        return self._room.held + (len(self._coming) + 1) * self._expected > self._limit

    async def let_in(self, answer: Callable[[bytes, _SourceType], Awaitable[Any]], context: _SourceType) -> Any:
        """Read a call's only message when its turn has come, and return the answer to it.

        Raises:
            QueueFull: There is no room for it.
            RequestTimeout: It did not arrive in time.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in one
        if self._waiting or (self._coming and self.crowded):
            await self._turn(task)
        else:
            self._begin(task)
        try:
            data: bytes = await context.read()
            if data is grpc.aio.EOF:
                raise errors.InvalidRequest("the call ended without a message")
            size = self.enter(len(data))
        except asyncio.CancelledError as error:
            if task not in self._late:
                raise
            task.uncancel()
            raise errors.RequestTimeout(f"the message did not arrive within {self._seconds:g} s") from error
        finally:
            del self._coming[task]
            self._late.discard(task)
            self._admit()
        answering = answer(data, context)
        del data  # may be large, and is not needed once it is parsed
        try:
            return await answering
        finally:
            self.leave(size)

    def enter(self, size: int) -> int:
        """Hold a message that is there until `leave`, and return its size.

        Raises:
            QueueFull: There is no room for it.
        """
        self._expected = max(size, self._expected * _FADING)
        self._room.check(size)
        self._room.held += size
        return size

    def leave(self, size: int) -> None:
        """Make room for others."""
        self._room.held -= size
        self._admit()

    async def _turn(self, task: _Task) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = task
        try:
            async with asyncio.timeout(self._turn_seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if self._waiting.pop(turn, None) is None:  # its turn came in the very moment it gave up
                del self._coming[task]
                self._admit()
            if isinstance(error, TimeoutError):
                raise errors.QueueFull(room.FULL) from error
            raise

    def _admit(self) -> None:
        while self._waiting and not (self._coming and self.crowded):
            turn = next(iter(self._waiting))
            self._begin(self._waiting.pop(turn))
            if not turn.done():
                turn.set_result(None)

    def _begin(self, task: _Task) -> None:
        loop = asyncio.get_running_loop()
        self._coming[task] = loop.time()
        if self._look is None and self._seconds is not None:
            self._look = loop.call_later(self._seconds, self._give_up)

    def _give_up(self) -> None:
        """End the calls whose message is late, and look again when the next may be."""
        loop = asyncio.get_running_loop()
        self._look = None
        for task, since in self._coming.items():
            left = since + (self._seconds or 0.0) - loop.time()
            if left > 0:
                self._look = loop.call_later(left, self._give_up)
                return
            self._late.add(task)
            task.cancel()
