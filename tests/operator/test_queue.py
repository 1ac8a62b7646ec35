"""The keyed queue."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from foresail_operator import errors, queue
from foresail_operator.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

A, B, NEW = ("n", "a"), ("n", "b"), ("n", "new")


class Bench:
    """A queue whose looks are recorded and can be held up."""

    def __init__(self) -> None:
        self.looks: list[tuple[str, str]] = []
        self.going = 0
        self.most_going = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.answers: list[float | Exception | None] = []
        self.looked = asyncio.Condition()
        self.now = 0.0
        self.metrics = Metrics()
        self.queue = queue.Queue(self.look, self.metrics, lambda: self.now, lambda: 0.0, lambda key: key == NEW)

    async def look(self, key: tuple[str, str]) -> float | None:
        self.looks.append(key)
        self.going += 1
        self.most_going = max(self.going, self.most_going)
        async with self.looked:
            self.looked.notify_all()
        await self.hold.wait()
        self.going -= 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.looked:
            await self.looked.wait_for(holds)


@contextlib.asynccontextmanager
async def running(bench: Bench, workers: int = 2) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.queue.run(workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_is_asked_for_often_is_looked_at_once() -> None:
    bench = Bench()
    for _ in range(10):
        bench.queue.add(A)
    assert bench.queue.depth == 1
    bench.queue.open()
    async with running(bench):
        await bench.until(lambda: bench.looks == [A])


async def test_what_is_asked_for_during_a_look_is_looked_at_once_more_and_by_one_worker() -> None:
    bench = Bench()
    bench.hold.clear()
    bench.queue.open()
    async with running(bench, workers=4):
        bench.queue.add(A)
        await bench.until(lambda: bench.looks == [A])
        bench.queue.add(A)
        bench.queue.add(A)
        bench.hold.set()
        await bench.until(lambda: bench.looks == [A, A])
    assert bench.most_going == 1


async def test_different_keys_are_looked_at_side_by_side() -> None:
    bench = Bench()
    bench.hold.clear()
    bench.queue.open()
    async with running(bench, workers=2):
        bench.queue.add(A)
        bench.queue.add(B)
        await bench.until(lambda: bench.going == 2)
        bench.hold.set()


async def test_a_newcomer_is_looked_at_before_what_waited_longer() -> None:
    bench = Bench()
    for key in (A, B, NEW):
        bench.queue.add(key)
    assert bench.queue.newcomers == 1
    bench.queue.open()
    async with running(bench, workers=1):
        await bench.until(lambda: bench.looks == [NEW, A, B])


async def test_nothing_is_looked_at_while_the_queue_is_closed_and_nothing_is_lost() -> None:
    bench = Bench()
    bench.queue.add(A)
    bench.now = 100.0
    async with running(bench):
        await asyncio.sleep(0)
        assert bench.looks == []
        assert bench.queue.oldest_seconds() == 0.0
        bench.queue.open()
        await bench.until(lambda: bench.looks == [A])


async def test_the_wait_of_a_key_begins_no_sooner_than_its_queue_opens() -> None:
    """A standby gathers keys for hours; a new leader that told of them as waiting was restarted for being stuck."""
    bench = Bench()
    bench.queue.add(A)
    bench.now = 3600.0
    bench.queue.open()
    assert bench.queue.oldest_seconds() == 0.0
    bench.now += 2.0
    bench.queue.open()  # it is open already
    bench.queue.add(B)
    bench.now += 1.0
    assert bench.queue.oldest_seconds() == 3.0
    async with running(bench):
        await bench.until(lambda: bench.looks == [A, B])
    assert bench.metrics.registry.get_sample_value("foresail_operator_queue_wait_seconds_sum") == 4.0


async def test_a_look_that_outlasts_a_pause_of_the_queue_keeps_its_age() -> None:
    bench = Bench()
    bench.hold.clear()
    bench.queue.open()
    async with running(bench):
        bench.queue.add(A)
        await bench.until(lambda: bench.looks == [A])
        bench.queue.close()
        bench.now = 100.0
        bench.queue.open()
        assert bench.queue.oldest_seconds() == 100.0
        bench.hold.set()


async def test_a_failed_look_comes_again_and_a_bug_does_not_end_the_queue(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.answers = [errors.Unavailable(503, "x", "y", 0.01), ZeroDivisionError(), None]
    bench.queue.open()
    async with running(bench):
        bench.queue.add(A)
        await bench.until(lambda: len(bench.looks) == 3)
    assert "a look failed" in caplog.text
    assert bench.metrics.registry.get_sample_value("foresail_operator_looks_total", {"outcome": "crashed"}) == 1


async def test_an_event_during_a_failing_look_does_not_jump_the_pause() -> None:
    bench = Bench()
    bench.hold.clear()
    bench.answers = [errors.Unavailable(503, "x", "y", 60.0)]
    bench.queue.open()
    async with running(bench):
        bench.queue.add(A)
        await bench.until(lambda: bench.looks == [A])
        bench.queue.add(A)
        bench.hold.set()
        bench.queue.add(B)
        await bench.until(lambda: B in bench.looks)
        assert bench.looks == [A, B]


async def test_an_event_after_a_failed_look_looks_at_once_but_not_before_the_time_that_the_server_asked_for() -> None:
    bench = Bench()
    bench.answers = [errors.Unavailable(503, "x", "y", 60.0), errors.Unavailable(0, "x", "y"), None, None, None]
    bench.queue.open()
    async with running(bench):
        bench.queue.add(A)
        await bench.until(lambda: bench.looks == [A])
        bench.queue.add(A)
        bench.queue.add(B)
        await bench.until(lambda: bench.looks == [A, B])
        bench.now += 61.0
        bench.queue.add(A)  # the time has come
        bench.queue.add(B)
        await bench.until(lambda: bench.looks == [A, B, A, B])


async def test_a_look_may_ask_to_be_repeated() -> None:
    bench = Bench()
    bench.answers = [0.001, None]
    bench.queue.open()
    async with running(bench):
        bench.queue.add(A)
        await bench.until(lambda: bench.looks == [A, A])


async def test_a_look_without_the_lease_waits_for_the_next_one() -> None:
    bench = Bench()
    bench.answers = [errors.NotLeading("x"), None]
    bench.queue.open()
    async with running(bench):
        bench.queue.add(A)
        await bench.until(lambda: bench.looks == [A, A])
    assert bench.metrics.registry.get_sample_value("foresail_operator_looks_total", {"outcome": "not leading"}) == 1


@pytest.mark.parametrize(
    ("attempt", "jitter", "asked", "seconds"),
    [(1, 0.0, None, 0.1), (1, 1.0, None, 0.2), (3, 1.0, None, 0.8), (50, 1.0, None, 15.0), (1, 1.0, 7.0, 7.0)],
)
def test_pauses_grow_with_jitter_up_to_a_bound_and_obey_the_server(
    attempt: int, jitter: float, asked: float | None, seconds: float
) -> None:
    assert queue.pause(attempt, jitter, asked) == pytest.approx(seconds)
