"""One ModelStreamInfer call: requests are read, run side by side, and answered in their order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from google.protobuf.message import Message

    from foresail_runtime.grpc.gate import Gate

WINDOW: Final = 32
"""Requests of one stream that are under way at a time; the next is read when the oldest is answered."""


class Context(Protocol):
    """What is used of grpcio's context of the call."""

    async def read(self) -> Any:
        """Return the next message, or `grpc.aio.EOF`."""

    async def write(self, message: Message) -> None:
        """Send one answer."""


class Streams:
    """All open streams of a server, which end together."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._readers: set[asyncio.Task[None]] = set()
        self._ending = False

    def end(self) -> None:
        """Read no more: each stream answers what it has read, and ends well.

        What was sent and is not answered when a stream has ended was not read, and may be sent again elsewhere.
        """
        self._ending = True
        for reader in self._readers:
            reader.cancel()

    async def answer(self, answer: Callable[[bytes], Coroutine[Any, Any, Message]], context: Context) -> None:
        """Answer each request of a stream in order."""
        if self._ending:
            return
        stream = _Stream(answer, context, self._gate)
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.write())
            reader = group.create_task(stream.read(group))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
            reader.add_done_callback(stream.close)


class _Stream:
    def __init__(self, answer: Callable[[bytes], Coroutine[Any, Any, Message]], context: Context, gate: Gate) -> None:
        self._answer = answer
        self._context = context
        self._gate = gate
        self._under_way: asyncio.Queue[asyncio.Future[Message] | None] = asyncio.Queue()
        self._count = 0
        self._answered = asyncio.Event()

    async def read(self, group: asyncio.TaskGroup) -> None:
        """Begin to answer until the client sends no more; cancelled, it leaves no message read and not begun."""
        while True:
            while self._count >= (1 if self._gate.crowded else WINDOW):
                self._answered.clear()
                await self._answered.wait()
            data = await self._context.read()
            if data is grpc.aio.EOF:
                return
            self._count += 1
            self._under_way.put_nowait(group.create_task(self._answer(data)))
            del data  # or it would be held until the next is there

    def close(self, _: object) -> None:
        """Note that nothing more is read."""
        self._under_way.put_nowait(None)

    async def write(self) -> None:
        """Send answers until all that was read has one."""
        while (answer := await self._under_way.get()) is not None:
            await self._context.write(await answer)
            self._count -= 1
            self._answered.set()
