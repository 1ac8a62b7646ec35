"""The gate alone: who is asked for a message, who waits, who is refused, and that nothing is left of any of them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from foresail_runtime import errors
from foresail_runtime.grpc import gate
from tests.runtime.timing import until

LIMIT = 100


class Call:
    """What grpcio calls a context: a message that comes when the test says so."""

    def __init__(self) -> None:
        self.asked = False
        self.message: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.answered = asyncio.Event()
        self.task: asyncio.Task[bytes]

    async def read(self) -> Any:
        self.asked = True
        return await self.message

    async def answer(self, data: bytes, _: object) -> bytes:
        await self.answered.wait()
        return data


class Bench:
    def __init__(self, made: gate.Gate) -> None:
        self.gate = made

    async def call(self) -> Call:
        call = Call()
        call.task = asyncio.create_task(self.gate.let_in(call.answer, call))
        await settle()
        return call

    async def answered(self, size: int) -> None:
        """Let a message of this size come and be answered."""
        call = await self.call()
        call.message.set_result(bytes(size))
        call.answered.set()
        assert len(await call.task) == size


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def bench() -> Bench:
    return Bench(gate.Gate(LIMIT, largest_bytes=60, seconds=None))


async def test_a_message_is_asked_for_when_no_other_is_on_its_way_that_may_be_large(bench: Bench) -> None:
    first, second = await bench.call(), await bench.call()
    assert (first.asked, second.asked) == (True, False)
    first.message.set_result(b"first")
    await settle()
    assert second.asked


async def test_messages_come_side_by_side_once_they_are_known_to_be_small(bench: Bench) -> None:
    for _ in range(200):
        await bench.answered(1)
    calls = [await bench.call() for _ in range(40)]
    assert all(call.asked for call in calls)


async def test_a_large_message_makes_the_next_ones_wait_again(bench: Bench) -> None:
    for _ in range(200):
        await bench.answered(1)
    await bench.answered(60)
    first, second = await bench.call(), await bench.call()
    assert (first.asked, second.asked) == (True, False)


async def test_what_is_answered_leaves_no_room_until_the_answer_is_there(bench: Bench) -> None:
    first = await bench.call()
    first.message.set_result(bytes(60))
    second = await bench.call()
    second.message.set_result(bytes(50))
    with pytest.raises(errors.QueueFull):
        await second.task
    first.answered.set()
    assert len(await first.task) == 60
    await bench.answered(60)


async def test_calls_are_let_in_in_the_order_they_came(bench: Bench) -> None:
    first, second, third = [await bench.call() for _ in range(3)]
    first.message.set_result(b"")
    await settle()
    assert (second.asked, third.asked) == (True, False)
    second.message.set_result(b"")
    await settle()
    assert third.asked


async def test_a_call_whose_turn_does_not_come_is_refused() -> None:
    bench = Bench(gate.Gate(LIMIT, largest_bytes=60, seconds=None, turn_seconds=0.01))
    first, second = await bench.call(), await bench.call()
    with pytest.raises(errors.QueueFull):
        await second.task
    first.message.set_result(b"")
    await settle()
    assert (await bench.call()).asked


async def test_a_message_that_does_not_come_is_given_up_and_another_has_its_turn() -> None:
    bench = Bench(gate.Gate(LIMIT, largest_bytes=60, seconds=0.05))
    first = await bench.call()
    second = await bench.call()
    with pytest.raises(errors.RequestTimeout, match=r"did not arrive within 0\.05 s"):
        await first.task
    await settle()
    assert second.asked
    with pytest.raises(errors.RequestTimeout):
        await second.task


async def test_a_call_whose_client_hangs_up_leaves_nothing_behind(bench: Bench) -> None:
    coming, waiting, next_one = [await bench.call() for _ in range(3)]
    waiting.task.cancel()
    coming.task.cancel()
    await settle()
    assert coming.task.cancelled()
    assert waiting.task.cancelled()
    assert (waiting.asked, next_one.asked) == (False, True)
    next_one.message.set_result(bytes(60))
    await settle()
    next_one.task.cancel()  # while it is answered
    await settle()
    await bench.answered(60)


async def test_a_call_that_hangs_up_in_the_moment_of_its_turn_gives_it_on(bench: Bench) -> None:
    first, second, third = [await bench.call() for _ in range(3)]
    first.message.set_result(b"")
    first.answered.set()
    await until(lambda: first.task.done() or second.asked or len(bench.gate._waiting) == 1)
    second.task.cancel()
    await settle()
    assert third.asked


async def test_a_call_without_a_message_is_the_caller_s_mistake(bench: Bench) -> None:
    call = await bench.call()
    call.message.set_result(grpc.aio.EOF)
    with pytest.raises(errors.InvalidRequest):
        await call.task


async def test_without_a_limit_nobody_waits() -> None:
    bench = Bench(gate.Gate(None, largest_bytes=2**40, seconds=None))
    assert all([(await bench.call()).asked for _ in range(100)])
