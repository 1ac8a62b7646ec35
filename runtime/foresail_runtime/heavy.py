"""Work that takes many times its input of memory and much of the interpreter: in turns, on a thread of its own.

What it makes are millions of objects at once, none of which is garbage. Python's collector looks through all of them
again and again meanwhile, and nothing else runs; so it rests until the work is done. And a failure leaves nothing of
the work behind: its traceback would hold all that was read until it is answered, while the next begins.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import sys
from typing import TYPE_CHECKING, Final, TypeVar

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Executor

_Made = TypeVar("_Made")


class Heavy:
    """Who does it, for all requests of a server; used on one event loop."""

    def __init__(self, executor: Executor, most: int = sys.maxsize) -> None:
        """Take an executor of one thread, and how many bytes all may take together."""
        self.most: Final = most
        self._executor = executor
        self._used = 0
        self._waiting: collections.deque[tuple[asyncio.Future[None], int]] = collections.deque()

    async def run(self, function: Callable[..., _Made], *arguments: object) -> _Made:
        """Return what the function returns; raises what it raises."""
        held = [arguments]
        del arguments
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, _run, function, held)
        finally:
            held.clear()  # of who has gone: the executor would keep them until their turn came

    @contextlib.asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes while the block runs, once those that came before leave room for them."""
        await self.begin(size)
        try:
            yield
        finally:
            self.end(size)

    async def begin(self, size: int) -> None:
        """Hold so many bytes until `end`, once those that came before leave room for them."""
        if self._waiting or not self._fits(size):
            await self._wait(size)
        else:
            self._used += size

    def end(self, size: int) -> None:
        """Hold them no more."""
        self._used -= size
        self._admit()

    async def _wait(self, size: int) -> None:
        place = asyncio.get_running_loop().create_future(), size
        self._waiting.append(place)
        try:
            await place[0]
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
                self._admit()  # who waits behind a large one may have room without it
            else:  # its turn came in the very moment it gave up
                self.end(size)
            raise

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][1]):
            turn, wanted = self._waiting.popleft()
            self._used += wanted
            if not turn.done():
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self.most


def _run(function: Callable[..., _Made], held: list[tuple[object, ...]]) -> _Made:
    (arguments,) = held
    with _no_collector():
        try:
            return function(*arguments)
        except errors.ForesailError as error:
            failure = error.with_traceback(None)
            failure.__cause__ = failure.__context__ = None
    raise failure


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the collector from running; of several at a time the first to end lets it run again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
