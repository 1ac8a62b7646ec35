"""Which requests share a run, decided without a clock or a loop."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresail_runtime.batching import plan

if TYPE_CHECKING:
    from collections.abc import Hashable

LIMITS = plan.Limits(merge_rows=4, split_rows=4, queue_count=3, queue_bytes=100)


@dataclasses.dataclass(eq=False)
class Item:
    rows: int = 1
    size: int = 10
    lane: tuple[int, Hashable] = (0, "a")
    number: int = dataclasses.field(default_factory=itertools.count().__next__)


def queue(*items: Item) -> plan.Queue[Item]:
    made: plan.Queue[Item] = plan.Queue()
    for item in items:
        made.push(item)
    return made


def test_requests_of_one_lane_share_a_run_up_to_its_rows() -> None:
    items = [Item(rows=2), Item(rows=1), Item(rows=2), Item(rows=1)]
    waiting = queue(*items)
    assert waiting.take(4) == items[:2]  # the third does not fit, and none overtakes it
    assert waiting.take(4) == items[2:]
    assert waiting.take(4) == []


def test_requests_of_different_lanes_never_share_a_run() -> None:
    a, b, more = Item(), Item(lane=(0, "b")), Item()
    waiting = queue(a, b, more)
    assert waiting.take(4) == [a, more]
    assert waiting.take(4) == [b]


def test_the_lane_whose_first_request_is_oldest_goes_first() -> None:
    a, b = Item(), Item(lane=(0, "b"))
    waiting = queue(a, b)
    waiting.take(1)
    waiting.push(Item())
    assert waiting.take(4) == [b]


def test_a_higher_priority_goes_first() -> None:
    ordinary, urgent = Item(lane=(plan.rank(0), "a")), Item(lane=(plan.rank(1), "a"))
    waiting = queue(ordinary, urgent)
    assert waiting.take(4) == [urgent]
    assert plan.rank(1) < plan.rank(2) < plan.rank(0)


def test_one_request_larger_than_a_batch_still_runs() -> None:
    large = Item(rows=9)
    assert queue(large, Item()).take(4) == [large]


def test_room_is_bounded_by_count_and_by_bytes() -> None:
    waiting = queue(Item(size=60), Item(size=30))
    assert waiting.has_room(LIMITS, 10)
    assert not waiting.has_room(LIMITS, 11)
    waiting.push(Item(size=0))
    assert not waiting.has_room(LIMITS, 0)


def test_a_removed_request_leaves_no_trace() -> None:
    first, second = Item(size=60), Item(size=30)
    waiting = queue(first, second)
    assert waiting.remove(first)
    assert not waiting.remove(first)
    assert (waiting.count, waiting.size, list(waiting)) == (1, 30, [second])
    assert waiting.remove(second)
    assert waiting.head() is None


def test_rows_with_counts_one_lane() -> None:
    head = Item(rows=2)
    assert queue(head, Item(rows=3), Item(lane=(0, "b"))).rows_with(head) == 5


@pytest.mark.parametrize(
    ("rows", "pieces"), [(0, [(0, 0)]), (1, [(0, 1)]), (4, [(0, 4)]), (9, [(0, 4), (4, 8), (8, 9)])], ids=str
)
def test_an_oversized_request_is_cut_into_pieces_in_order(rows: int, pieces: list[tuple[int, int]]) -> None:
    assert plan.cut(rows, 4) == pieces


@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ab"), st.integers(0, 2)), max_size=30),
    merge_rows=st.integers(1, 5),
)
def test_every_request_runs_once_in_its_lanes_order(rows: list[tuple[int, str, int]], merge_rows: int) -> None:
    items = [Item(count, count * 8, (priority, lane), number) for number, (count, lane, priority) in enumerate(rows)]
    waiting = queue(*items)
    ran: list[Item] = []
    while batch := waiting.take(merge_rows):
        assert len({item.lane for item in batch}) == 1
        assert len(batch) == 1 or sum(item.rows for item in batch) <= merge_rows
        ran += batch
    assert sorted(item.number for item in ran) == [item.number for item in items]
    for lane in {item.lane for item in items}:
        numbers = [item.number for item in ran if item.lane == lane]
        assert numbers == sorted(numbers)
    assert (waiting.count, waiting.size) == (0, 0)
