"""Large answers count in the room of all requests until they are sent, and may take only so long."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

import pytest

from foresail_runtime import room
from foresail_runtime.web import unsent
from tests.runtime.timing import until
from tests.runtime.web import test_slow_readers as slow

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

long_answers, hang_up = slow.long_answers, slow.hang_up
SIZE = 10 * unsent.LEAST_BYTES_A_SECOND
PATIENCE_SECONDS = 10.0


class Wire(asyncio.Transport):
    """A transport of which the test says what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.left = SIZE
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.aborted = True


class Timer:
    """What runs once, at a time."""

    def __init__(self, when: float, function: Callable[[], None]) -> None:
        self.when = when
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        self.function = None


class Loop:
    """A loop whose timers run where the test lets time pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Callable[[], None]) -> Timer:
        self._timers.append(Timer(self.now + seconds, function))
        return self._timers[-1]

    def pass_until(self, now: float) -> None:
        while due := [timer for timer in self._timers if timer.when <= now]:
            timer = min(due, key=lambda one: one.when)
            self._timers.remove(timer)
            self.now = timer.when
            if timer.function is not None:
                timer.function()
        self.now = now


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def whole() -> room.Room:
    return room.Room(2 * SIZE)


@pytest.fixture
def answers(whole: room.Room, wire: Wire, loop: Loop) -> unsent.Unsent:
    return unsent.Unsent(whole, wire, cast("asyncio.AbstractEventLoop", loop), 60.0, None)


def test_all_of_an_answer_counts_until_its_last_byte_is_sent(
    answers: unsent.Unsent, whole: room.Room, wire: Wire, loop: Loop
) -> None:
    answers.hold(SIZE)
    wire.left = 1
    loop.pass_until(50.0)
    assert whole.held == SIZE
    wire.left = 0
    loop.pass_until(50.0 + unsent.LAST_LOOK_SECONDS)
    assert whole.held == 0


def test_two_answers_count_together_and_no_more_once_the_client_is_gone(
    answers: unsent.Unsent, whole: room.Room
) -> None:
    answers.hold(SIZE)
    answers.hold(SIZE // 2)
    assert whole.held == SIZE + SIZE // 2
    answers.release()
    assert whole.held == 0


def test_who_takes_it_slower_than_the_least_rate_is_cut_off(answers: unsent.Unsent, wire: Wire, loop: Loop) -> None:
    answers.hold(SIZE)
    loop.pass_until(60.0 + 10.0)
    assert not wire.aborted
    loop.pass_until(60.0 + 10.0 + 2 * unsent.LAST_LOOK_SECONDS)
    assert wire.aborted


@pytest.mark.parametrize("way", slow.WAYS)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
async def test_answers_that_nobody_takes_fill_the_memory_that_the_next_is_refused_for(
    serve: Start, long_answers: pathlib.Path, tmp_path: pathlib.Path, way: str, secured: bool
) -> None:
    chosen, context = slow.certified(tmp_path) if secured else ({}, None)
    server: Server = await serve(long_answers, max_held_bytes=20 * 2**20, **chosen)
    account = server.app._http._dispatcher.room
    await slow.ask(server, slow.request(way), context)
    await until(lambda: account.held > 4 * slow.TIMES)
    second = await slow.ask(server, slow.request(way), context)
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await second.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: " in head
    slow.OPEN[0].transport.abort()
    await until(lambda: account.held == 0)


@pytest.mark.parametrize("way", slow.WAYS)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
async def test_an_answer_that_was_taken_counts_no_more(
    serve: Start, long_answers: pathlib.Path, tmp_path: pathlib.Path, way: str, secured: bool
) -> None:
    chosen, context = slow.certified(tmp_path) if secured else ({}, None)
    server: Server = await serve(long_answers, **chosen)
    account = server.app._http._dispatcher.room
    reader = await slow.ask(server, slow.request(way), context)
    slow.OPEN[0].transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reader.readuntil(b"\r\n\r\n")
        assert account.held > 4 * slow.TIMES
        await reader.readexactly(4 * slow.TIMES)
    await until(lambda: account.held == 0)
