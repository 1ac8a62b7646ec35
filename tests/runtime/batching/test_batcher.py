"""The batcher on a real loop, before an engine that waits until it is told to go on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.batching import batcher, feeder, plan
from foresail_runtime.tensors import InferRequest, Tensor
from tests.runtime.timing import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

PATIENCE = 5.0


class Engine:
    """Doubles its input; a 13 in it makes the run fail. Runs wait at a gate that the test opens."""

    output_names = ("y",)

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        array = inputs["x"]
        self.runs.append(len(array))
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        if (array == 13).any():
            raise errors.InvalidRequest("13 is bad luck")
        return [array * 2 for _ in outputs]


class Observer:
    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.waits = 0
        self.failures: list[int] = []

    def failed(self, rows: int) -> None:
        self.failures.append(rows)

    def ran(self, rows: int, requests: int, seconds: float) -> None:
        assert seconds >= 0
        self.batches.append((rows, requests))

    def waited(self, seconds: float) -> None:
        assert seconds >= 0
        self.waits += 1


class Bench:
    """A batcher with all around it."""

    def __init__(self, executor: concurrent.futures.Executor, clock: Callable[[], float], **options: Any) -> None:
        self.engine = Engine()
        self.observer = Observer()
        limits = {"merge_rows": 8, "split_rows": 8, "queue_count": 4, "queue_bytes": 1000}
        limits |= {key: options.pop(key) for key in list(options) if key in limits}
        chosen = {"batched": True, "inline": False, **options}
        self.batcher = batcher.Batcher(
            self.engine, plan.Limits(**limits), self.observer, executor=executor, clock=clock, **chosen
        )

    def ask(self, *values: float, timeout: float = PATIENCE, **options: Any) -> asyncio.Task[list[Any]]:
        array = np.array(values, np.float32).reshape(-1, options.pop("width", 1))
        size = options.pop("size", 1)
        wanted = InferRequest((Tensor("x", tensors.FP32, array),), **options)
        return asyncio.create_task(self.batcher.infer(wanted, size, timeout))

    async def busy(self, *values: float) -> asyncio.Task[list[Any]]:
        """Ask, and return once the engine is at work on it, held at the gate."""
        self.engine.gate.clear()
        self.engine.entered.clear()
        task = self.ask(*values)
        await settle()
        assert await asyncio.to_thread(self.engine.entered.wait, PATIENCE)
        return task


async def settle() -> None:
    """Let everything run that is ready to."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
async def bench(clock: Clock) -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []
    with concurrent.futures.ThreadPoolExecutor(1) as executor:

        def make(**options: Any) -> Bench:
            made.append(Bench(executor, clock, **options))
            return made[-1]

        yield make
        for one in made:
            one.engine.gate.set()
            one.batcher.close(errors.NotReady("the test is over"))


def values(result: list[Any]) -> list[float]:
    return [float(value) for value in result[0].ravel()]


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "on a thread"])
async def test_a_lone_request_is_run_at_once(bench: Callable[..., Bench], inline: bool) -> None:
    one = bench(inline=inline)
    assert values(await one.ask(1, 2)) == [2, 4]
    assert one.observer.batches == [(2, 1)]


async def test_what_waits_while_the_engine_works_shares_the_next_run(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(1)
    others = [one.ask(2), one.ask(3, 4), one.ask(5)]
    await settle()
    assert one.batcher.queued == 3
    one.engine.gate.set()
    assert [values(await task) for task in (first, *others)] == [[2], [4], [6, 8], [10]]
    assert one.engine.runs == [1, 4]
    assert one.batcher.queued == 0


async def test_inline_requests_of_one_turn_share_a_run(bench: Callable[..., Bench]) -> None:
    one = bench(inline=True)
    results = await asyncio.gather(*[one.ask(value) for value in (1, 2, 3)])
    assert [values(result) for result in results] == [[2], [4], [6]]
    assert one.engine.runs == [3]


async def test_different_shapes_never_share_a_run(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    others = [one.ask(1, 2, width=2), one.ask(3), one.ask(4, 5, width=2)]
    await settle()
    one.engine.gate.set()
    assert [values(await task) for task in (first, *others)] == [[0], [2, 4], [6], [8, 10]]
    assert one.engine.runs == [1, 2, 1]


async def test_different_outputs_never_share_a_run(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    others = [one.ask(1, outputs=("y",)), one.ask(2)]
    await settle()
    one.engine.gate.set()
    await asyncio.gather(first, *others)
    assert one.engine.runs == [1, 1, 1]


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "on a thread"])
async def test_one_bad_request_fails_alone(bench: Callable[..., Bench], inline: bool) -> None:
    one = bench(inline=inline)
    first = one.ask(0) if inline else await one.busy(0)
    others = [one.ask(1), one.ask(13), one.ask(2)]
    await settle()
    one.engine.gate.set()
    done = await asyncio.gather(first, *others, return_exceptions=True)
    assert [values(result) for result in done if isinstance(result, list)] == [[0], [2], [4]]
    assert isinstance(done[2], errors.InvalidRequest)
    assert sum(rows for rows, _ in one.observer.batches) - sum(one.observer.failures) == 3


async def test_an_oversized_request_is_run_in_pieces_and_comes_back_whole(bench: Callable[..., Bench]) -> None:
    one = bench(split_rows=4, merge_rows=4)
    assert values(await one.ask(*range(10))) == [2 * value for value in range(10)]
    assert one.engine.runs == [4, 4, 2]


async def test_others_get_their_turn_between_two_pieces(bench: Callable[..., Bench]) -> None:
    one = bench(split_rows=2, merge_rows=2)
    large = await one.busy(1, 2, 3, 4, 5, 6)
    small = one.ask(7)
    await settle()
    one.engine.gate.set()
    assert values(await small) == [14]
    assert not large.done()
    assert values(await large) == [2, 4, 6, 8, 10, 12]


async def test_a_full_queue_refuses_at_once(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    waiting = [one.ask(value) for value in range(4)]
    await settle()
    with pytest.raises(errors.QueueFull, match="4 requests wait already"):
        await one.ask(9)
    one.engine.gate.set()
    await asyncio.gather(first, *waiting)
    assert values(await one.ask(9)) == [18]


async def test_a_queue_full_of_bytes_refuses_at_once(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    waiting = one.ask(1, size=900)
    await settle()
    assert one.batcher.queued_bytes == 900
    with pytest.raises(errors.QueueFull, match="900 bytes"):
        await one.ask(2, size=200)
    one.engine.gate.set()
    await asyncio.gather(first, waiting)
    assert one.batcher.queued_bytes == 0


async def test_a_cancelled_request_leaves_the_queue(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    gone, stays = one.ask(1), one.ask(2)
    await settle()
    gone.cancel()
    await settle()
    assert one.batcher.queued == 1
    one.engine.gate.set()
    await asyncio.gather(first, stays)
    assert one.engine.runs == [1, 1]


async def test_a_dropped_request_leaves_the_queue_unanswered(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    answers: list[object] = []
    wanted = InferRequest((Tensor("x", tensors.FP32, np.ones((1, 1), np.float32)),))
    item = one.batcher.submit(wanted, 700, PATIENCE, answers.append)
    assert item is not None
    assert (one.batcher.queued, one.batcher.queued_bytes) == (1, 700)
    one.batcher.drop(item)
    assert (one.batcher.queued, one.batcher.queued_bytes) == (0, 0)
    one.engine.gate.set()
    assert values(await first) == [0]
    assert (answers, one.engine.runs) == ([], [1])


async def test_a_cancelled_oversized_request_runs_no_further_piece(bench: Callable[..., Bench]) -> None:
    one = bench(split_rows=2, merge_rows=2)
    large = await one.busy(1, 2, 3, 4, 5, 6)
    large.cancel()
    await settle()
    one.engine.gate.set()
    assert values(await one.ask(7)) == [14]
    assert one.engine.runs == [2, 1]
    assert large.cancelled()


async def test_an_oversized_request_with_a_bad_piece_fails_alone(bench: Callable[..., Bench]) -> None:
    one = bench(split_rows=2, merge_rows=4)
    first = await one.busy(0)
    bad, good = one.ask(1, 2, 13, 4), one.ask(5)
    await settle()
    one.engine.gate.set()
    done = await asyncio.gather(first, bad, good, return_exceptions=True)
    assert isinstance(done[1], errors.InvalidRequest)
    assert [values(result) for result in done if isinstance(result, list)] == [[0], [10]]


async def test_an_oversized_request_is_too_late_as_a_whole(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench(split_rows=2, merge_rows=2)
    first = await one.busy(0)
    large = one.ask(1, 2, 3, 4, timeout=1)
    await settle()
    clock.now += 2
    with pytest.raises(errors.DeadlineExceeded):
        await large
    one.engine.gate.set()
    assert values(await first) == [0]
    assert (one.engine.runs, one.batcher.queued) == ([1], 0)


async def test_a_request_that_is_too_late_never_enters_the_engine(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench()
    first = await one.busy(0)
    late, patient = one.ask(1, timeout=1), one.ask(2, timeout=60)
    await settle()
    clock.now += 2
    with pytest.raises(errors.DeadlineExceeded, match=r"waited 2\.000 s"):  # though the engine still works
        await late
    one.engine.gate.set()
    await asyncio.gather(first, patient)
    assert one.engine.runs == [1, 1]


async def test_a_run_that_takes_too_long_is_answered_at_its_deadline(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench()
    stuck = await one.busy(0)
    clock.now += 60
    with pytest.raises(errors.DeadlineExceeded):
        await stuck
    one.engine.gate.set()
    assert values(await one.ask(1)) == [2]


async def test_a_higher_priority_is_run_first(bench: Callable[..., Bench]) -> None:
    one = bench(merge_rows=1)
    first = await one.busy(0)
    order: list[str] = []
    ordinary, urgent = one.ask(1), one.ask(2, priority=1)
    ordinary.add_done_callback(lambda _: order.append("ordinary"))
    urgent.add_done_callback(lambda _: order.append("urgent"))
    await settle()
    one.engine.gate.set()
    await asyncio.gather(first, ordinary, urgent)
    assert order == ["urgent", "ordinary"]


async def test_inputs_that_differ_in_rows_are_refused_by_name(bench: Callable[..., Bench]) -> None:
    one = bench()
    pair = (
        Tensor("x", tensors.FP32, np.zeros((2, 1), np.float32)),
        Tensor("other", tensors.FP32, np.zeros((3, 1), np.float32)),
    )
    with pytest.raises(errors.InvalidRequest, match="'other' has 3 rows, input 'x' has 2"):
        await one.batcher.infer(InferRequest(pair), 1, PATIENCE)


async def test_a_model_that_is_not_batched_runs_whole_requests_one_by_one(bench: Callable[..., Bench]) -> None:
    one = bench(batched=False, split_rows=1, merge_rows=1)
    assert values(await one.ask(1, 2, 3)) == [2, 4, 6]
    assert one.engine.runs == [3]


async def test_a_delay_that_was_asked_for_ends_when_the_batch_is_full(bench: Callable[..., Bench]) -> None:
    one = bench(delay_seconds=3600.0, merge_rows=2)
    first = one.ask(1)
    await settle()
    assert one.engine.runs == []
    second = one.ask(2)
    assert [values(await task) for task in (first, second)] == [[2], [4]]
    assert one.engine.runs == [2]


async def test_a_delay_that_was_asked_for_ends_with_time(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench(delay_seconds=0.01)
    task = one.ask(1)
    await settle()
    assert one.engine.runs == []
    clock.now += 0.01
    assert values(await task) == [2]


async def test_closing_answers_what_waits(bench: Callable[..., Bench]) -> None:
    one = bench()
    first = await one.busy(0)
    waiting = one.ask(1)
    await settle()
    one.batcher.close(errors.NotReady("unloaded"))
    with pytest.raises(errors.NotReady, match="unloaded"):
        await waiting
    with pytest.raises(errors.NotReady):
        await one.ask(2)
    one.engine.gate.set()
    assert values(await first) == [0]


async def test_closing_ends_a_request_between_two_of_its_pieces(bench: Callable[..., Bench]) -> None:
    """The next piece waited in a queue that nobody looked at any more, whatever its deadline."""
    one = bench(split_rows=2, merge_rows=2)
    large = await one.busy(1, 2, 3, 4)
    one.batcher.close(errors.NotReady("unloaded"))
    one.engine.gate.set()
    with pytest.raises(errors.NotReady, match="unloaded"):
        await asyncio.wait_for(large, PATIENCE)
    assert (one.engine.runs, one.batcher.queued) == ([2], 0)


async def test_closing_answers_a_batch_that_would_have_been_run_again(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.engine.gate.clear()
    tasks = [one.ask(13), one.ask(1)]
    await settle()
    assert await asyncio.to_thread(one.engine.entered.wait, PATIENCE)
    one.batcher.close(errors.NotReady("unloaded"))
    one.engine.gate.set()
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert [str(error) for error in done] == ["unloaded"] * 2
    assert (one.engine.runs, one.batcher.queued) == ([2], 0)


async def test_a_thread_that_can_not_be_had_is_the_answer_of_its_batch(clock: Clock) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        one = Bench(executor, clock, merge_rows=1)
    first, second = one.ask(1), one.ask(2)
    done = await asyncio.wait_for(asyncio.gather(first, second, return_exceptions=True), PATIENCE)
    assert [type(error) for error in done] == [RuntimeError] * 2
    assert (one.batcher.busy, one.batcher.queued) == (False, 0)
    one.batcher.close(errors.NotReady("the test is over"))


async def test_a_failed_batch_is_answered_when_no_thread_can_be_had_again(clock: Clock) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        one = Bench(executor, clock)
        tasks = [one.ask(13), one.ask(1), one.ask(2)]
        one.engine.gate.clear()
        await settle()
        assert await asyncio.to_thread(one.engine.entered.wait, PATIENCE)
        executor.shutdown(wait=False)
        one.engine.gate.set()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert [type(error) for error in done] == [RuntimeError] * 3
    one.batcher.close(errors.NotReady("the test is over"))


async def test_a_lone_inline_request_needs_no_turn_of_the_loop(bench: Callable[..., Bench]) -> None:
    one = bench(inline=True)
    wanted = InferRequest((Tensor("x", tensors.FP32, np.ones((1, 1), np.float32)),))
    assert one.batcher.run_alone(wanted) is not None
    assert one.batcher.run_alone(wanted) is None  # a second in the same turn: it is not alone
    assert one.batcher.run_alone(wanted, at_once=True) is not None


async def test_a_short_run_is_not_worth_waiting_for(bench: Callable[..., Bench]) -> None:
    one = bench(inline=True)
    wanted = InferRequest((Tensor("x", tensors.FP32, np.ones((1, 1), np.float32)),))
    assert [one.batcher.run_short(wanted) is not None for _ in range(3)] == [True, True, True]
    one.ask(1)
    await settle()
    assert one.engine.runs == [1, 1, 1, 1]


async def test_a_short_run_never_overtakes_what_waits(bench: Callable[..., Bench]) -> None:
    one = bench(inline=True)
    wanted = InferRequest((Tensor("x", tensors.FP32, np.ones((1, 1), np.float32)),))
    one.batcher.submit(wanted, 1, PATIENCE, lambda _: None)
    assert one.batcher.run_short(wanted) is None


async def test_runs_that_are_longer_are_shared(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench(inline=True)
    original = one.engine.run

    def run(inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        clock.now += 0.0003
        return original(inputs, outputs)

    one.batcher.feeder.engine.run = run  # type: ignore[method-assign]  # the same engine, on a slower machine
    wanted = InferRequest((Tensor("x", tensors.FP32, np.ones((1, 1), np.float32)),))
    for _ in range(200):
        one.batcher.run_short(wanted)
    assert one.batcher.run_short(wanted) is None


async def test_a_model_that_turns_out_slow_leaves_the_loop(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench(inline=True)
    original = one.engine.run

    def slow(inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        clock.now += 0.1
        return original(inputs, outputs)

    one.engine.run = slow  # type: ignore[method-assign]  # the same engine, on a slower machine
    for _ in range(feeder.STALLS):
        assert one.batcher.inline
        assert values(await one.ask(1)) == [2]
    assert not one.batcher.inline
    assert values(await one.ask(4)) == [8]


async def test_one_long_run_is_enough_to_leave_the_loop(bench: Callable[..., Bench], clock: Clock) -> None:
    one = bench(inline=True)
    original = one.engine.run

    def slow(inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        clock.now += 2 * feeder.LONG_SECONDS
        return original(inputs, outputs)

    one.engine.run = slow  # type: ignore[method-assign]  # a model whose values decide how long it takes
    assert values(await one.ask(1)) == [2]
    assert not one.batcher.inline


async def test_a_request_that_no_empty_queue_would_take_is_not_asked_to_come_again(bench: Callable[..., Bench]) -> None:
    one = bench(queue_bytes=1000)
    with pytest.raises(errors.TooLarge, match="FORESAIL_MAX_QUEUE_BYTES"):
        await one.ask(1, size=1001)


class Doors:
    """Runs that begin, and end once they may."""

    output_names = ("y",)

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.end = threading.Event()

    def run(self, inputs: Any, outputs: Any) -> list[Any]:
        self.begun.release()
        assert self.end.wait(PATIENCE)
        return [inputs["x"] for _ in outputs]


async def test_several_instances_run_at_once_and_a_request_more_waits() -> None:
    engine, observer = Doors(), Observer()
    limits = plan.Limits(merge_rows=1, split_rows=8, queue_count=10, queue_bytes=1000)
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        made = batcher.Batcher(engine, limits, observer, batched=True, inline=False, executor=executor, instances=3)
        tensor = Tensor("x", tensors.FP32, np.ones((1, 1), np.float32))
        tasks = [asyncio.create_task(made.infer(InferRequest((tensor,)), 1, PATIENCE)) for _ in range(6)]
        await settle()
        for _ in range(3):
            assert await asyncio.to_thread(engine.begun.acquire, timeout=PATIENCE)
        assert (made.busy, made.queued) == (True, 3)
        engine.end.set()
        await asyncio.gather(*tasks)
    assert (observer.batches, made.busy, made.running_seconds) == ([(1, 1)] * 6, False, 0.0)
