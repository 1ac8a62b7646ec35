"""Work that takes much memory waits for its turn, leaves nothing behind, and the collector rests meanwhile."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from foresail_runtime import errors, heavy

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 10.0


class Document:
    """Stands for what is read."""

    missing: int


@pytest.fixture
def executor() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor(1) as made:
        yield made


async def _start(work: heavy.Heavy, size: int, begun: list[int]) -> asyncio.Task[None]:
    async def take() -> None:
        await work.begin(size)
        begun.append(size)

    task = asyncio.create_task(take())
    await asyncio.sleep(0)
    return task


async def test_who_comes_waits_until_there_is_room_in_the_order_they_came(
    executor: concurrent.futures.Executor,
) -> None:
    work, begun = heavy.Heavy(executor, 100), list[int]()
    tasks = [await _start(work, size, begun) for size in (60, 50, 40)]
    assert begun == [60]  # 40 would fit, and is behind 50
    work.end(60)
    await asyncio.gather(*tasks)
    assert begun == [60, 50, 40]


async def test_more_than_there_is_at_all_is_let_through_alone(executor: concurrent.futures.Executor) -> None:
    work, begun = heavy.Heavy(executor, 100), list[int]()
    tasks = [await _start(work, size, begun) for size in (1, 101, 1)]
    assert begun == [1]
    work.end(1)
    await tasks[1]
    assert begun == [1, 101]
    work.end(101)
    await tasks[2]


async def test_who_gives_up_lets_those_behind_pass(executor: concurrent.futures.Executor) -> None:
    work, begun = heavy.Heavy(executor, 100), list[int]()
    tasks = [await _start(work, size, begun) for size in (60, 50, 40)]
    tasks[1].cancel()
    await tasks[2]
    assert begun == [60, 40]
    late = await _start(work, 100, begun)
    work.end(60)
    work.end(40)  # its turn has come, and it gives up before it hears of it
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    async with asyncio.timeout(PATIENCE_SECONDS), work.turn(100):
        pass


async def test_the_collector_rests_while_it_is_done_and_runs_again_after_it(
    executor: concurrent.futures.Executor,
) -> None:
    work = heavy.Heavy(executor)
    assert gc.isenabled()
    assert not await work.run(gc.isenabled)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        await work.run(lambda: 1 / 0)
    assert gc.isenabled()


async def test_a_refusal_holds_nothing_of_what_was_read(executor: concurrent.futures.Executor) -> None:
    left: list[weakref.ref[Document]] = []

    def read() -> None:
        document = Document()
        left.append(weakref.ref(document))
        try:
            document.missing  # noqa: B018  # fails, and its failure holds the document
        except AttributeError as error:
            raise errors.InvalidRequest("no") from error

    with pytest.raises(errors.InvalidRequest, match="no"):
        await heavy.Heavy(executor).run(read)
    assert left[0]() is None


async def test_what_nobody_waits_for_any_more_is_held_no_longer(executor: concurrent.futures.Executor) -> None:
    work, go, begun = heavy.Heavy(executor), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(PATIENCE_SECONDS)

    first = asyncio.create_task(work.run(wait))
    await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
    document = Document()
    left = weakref.ref(document)
    second = asyncio.create_task(work.run(id, document))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    del document, second
    assert left() is None
    go.set()
    await first
