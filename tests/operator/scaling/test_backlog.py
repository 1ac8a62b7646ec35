"""What a queue says of the load behind it."""

from __future__ import annotations

import math

import pytest

from foresail_operator.scaling.backlog import Backlog
from foresail_operator.scaling.signal import Sample

TARGET = 7.0


def limit(queue: list[float], *, answered: float = 100.0, busy: float = 10.0, pods: int = 1) -> float:
    """Return the limit after a queue was seen each half second."""
    backlog = Backlog()
    for turn, queued in enumerate(queue):
        backlog.add(Sample(turn / 2, queued + busy, queued, answered, pods))
    return backlog.limit(TARGET, replicas=3)


def test_while_it_grows_what_comes_is_reckoned_with_and_not_what_has_piled_up() -> None:
    assert limit([0, 75, 150, 225, 300]) == pytest.approx(25.0)  # 150 more a second come than the 100 answered


def test_replicas_that_work_on_less_than_the_target_at_a_time_get_room_to_catch_up() -> None:
    assert limit([0, 75, 150, 225, 300], busy=1.0) == pytest.approx(1.4 * TARGET * 2.5)


def test_while_it_drains_nobody_new_is_needed() -> None:
    assert limit([900, 850, 800, 750, 700]) == 3 * TARGET


def test_where_it_drains_too_slowly_its_length_counts() -> None:
    assert limit([90_000, 89_950, 89_900, 89_850, 89_800]) == math.inf


@pytest.mark.parametrize(
    "queue",
    [[12.0] * 5, [0, 0, 0, 14, 14], [0, 14, 14, 14, 14], [3, 9, 1, 8, 12], [], [5], [0, 300]],
    ids=["clients that wait", "they have just come", "a moment ago", "chance", "nothing", "once", "twice"],
)
def test_a_queue_that_stays_or_has_only_just_come_says_itself_what_is_needed(queue: list[float]) -> None:
    assert limit(queue) == math.inf


def test_where_nobody_answers_it_says_itself_what_is_needed() -> None:
    assert limit([0, 75, 150, 225, 300], answered=0.0) == math.inf
    assert limit([0, 75, 150, 225, 300], pods=0) == math.inf


def test_of_few_requests_a_growth_tells_that_lasts_for_two_seconds() -> None:
    assert limit([0, 8, 17, 25, 34], answered=14.0, busy=4.0) < 3 * TARGET * 1.4  # 17 more a second, three deviations


def test_what_a_queue_said_while_it_grew_stands_until_replicas_have_started() -> None:
    assert 3 * TARGET <= limit([0, 75, 150, 225, 300, 300, 300, 300, 300]) <= 25.0
    assert limit([0, 75, 150, 225, *[300] * 17]) == math.inf, "it stays, so clients wait for their answers"


def test_a_queue_that_is_gone_leaves_what_has_been_carried_since() -> None:
    assert limit([900, 600, 300, 0, 0], busy=12.0) == 3 * TARGET, "gone for too short a time to tell"
    assert limit([900, 600, 300, 0, 0, 0, 0], busy=12.0) == 12.0
