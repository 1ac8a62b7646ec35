"""What refused requests ask for: who is full, how many times over, for how long that is remembered."""

from __future__ import annotations

import pytest

from foresail_operator.scaling.refusals import LESS_SECONDS, REMEMBER_SECONDS, Refusals
from foresail_operator.scaling.signal import Refusal, Sample

DELAY_SECONDS = 30.0


class Watch:
    """Refusals and the time, moved on together."""

    def __init__(self) -> None:
        self.now = 0.0
        self.refusals = Refusals(DELAY_SECONDS)

    def see(self, pods: int, seconds: float, answered: float, **refused: float) -> int:
        """Let pods answer so many a second together, and those named refuse some beside the same share; look twice."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            found = tuple(
                Refusal("", rate, answered) if pod == "front" else Refusal(pod, rate, answered / pods)
                for pod, rate in refused.items()
            )
            total = sum(refused.values())
            sample = Sample(self.now, 1.0, 0.0, answered + total, pods, refused_per_second=total, refusals=found)
            self.refusals.take(sample)
        return self.refusals.needed(self.now)

    @property
    def held(self) -> int:
        return self.refusals.held(self.now)


@pytest.mark.parametrize(("refused", "expected"), [(0.1, 2), (9.0, 2), (1000.0, 2)])
def test_a_lone_replica_that_goes_on_refusing_is_one_too_few_however_often_clients_try_again(
    refused: float, expected: int
) -> None:
    watch = Watch()
    assert watch.see(1, 1.5, 10.0, a=refused) == 0, "not told from one burst yet"
    assert watch.see(1, 1.0, 10.0, a=refused) == expected


def test_one_burst_that_is_refused_asks_for_nobody() -> None:
    watch = Watch()
    assert watch.see(1, 1.0, 10.0, a=40.0) == 0
    assert watch.see(1, 30.0, 10.0) == 0
    assert watch.held == 0


def test_bursts_that_are_refused_again_and_again_ask_for_more_though_most_looks_see_none() -> None:
    watch = Watch()
    watch.see(1, 0.5, 10.0, a=40.0)
    assert watch.see(1, 20.0, 1.0) == 0
    assert watch.see(1, 0.5, 10.0, a=40.0) == 2


def test_bursts_more_than_a_minute_apart_are_each_the_first() -> None:
    watch = Watch()
    for _ in range(3):
        assert watch.see(1, 0.5, 10.0, a=40.0) == 0
        watch.see(1, 61.0, 1.0)


def test_replicas_that_refuse_a_share_stand_for_that_many_more() -> None:
    watch = Watch()
    assert watch.see(10, 3.0, 100.0, **{f"pod{number}": 3.0 for number in range(10)}) == 13


def test_what_is_refused_in_front_of_the_replicas_says_that_all_of_them_are_full() -> None:
    watch = Watch()
    assert watch.see(4, 3.0, 100.0, front=50.0) == 6
    watch = Watch()
    assert watch.see(4, 3.0, 100.0, front=900.0) == 8


def test_a_client_that_keeps_to_one_replica_gets_one_more_and_not_all_there_are() -> None:
    watch = Watch()
    for pods in (1, 2):
        for _ in range(8):
            watch.now += 0.5
            refusal = Refusal("a", 100.0, 20.0)  # it answers all that is answered: the others idle
            watch.refusals.take(Sample(watch.now, 5.0, 4.0, 120.0, pods, refused_per_second=100.0, refusals=(refusal,)))
    assert watch.refusals.needed(watch.now) == 2


def test_a_replica_that_is_full_a_little_before_the_others_asks_for_one_more() -> None:
    watch = Watch()
    assert watch.see(10, 3.0, 100.0, slow=0.5) == 11


def test_replicas_that_were_replaced_are_not_asked_for_twice() -> None:
    watch = Watch()
    watch.see(2, 3.0, 20.0, a=90.0, b=90.0)
    assert watch.see(2, 3.0, 20.0, c=90.0, d=90.0) == 4


def test_a_replica_that_answers_nothing_stands_for_two() -> None:
    watch = Watch()
    assert watch.see(3, 3.0, 0.0, a=5.0, b=5.0, c=5.0) == 6


def test_more_is_asked_for_only_once_those_asked_for_are_there_and_it_goes_on() -> None:
    watch = Watch()
    assert watch.see(1, 10.0, 10.0, a=90.0) == 2
    assert watch.see(2, 1.0, 20.0, a=40.0, b=40.0) == 0, "the new one has just begun"
    assert watch.see(2, 1.0, 20.0, a=40.0, b=40.0) == 4
    assert watch.see(4, 6.0, 100.0) == 0


def test_what_was_asked_for_is_kept_for_the_delay_after_the_last_refusal() -> None:
    watch = Watch()
    watch.see(2, 3.0, 20.0, a=40.0, b=40.0)
    watch.see(4, DELAY_SECONDS - 1.0, 1.0)
    assert watch.held == 4
    assert watch.refusals.held(watch.now, ahead_seconds=2.0) == 0
    watch.see(4, 2.0, 1.0)
    assert watch.held == 0, "so little comes that any size will do"


def test_while_as_many_are_answered_a_size_that_refused_is_tried_again_only_later_and_from_above() -> None:
    watch = Watch()
    watch.see(3, 3.0, 30.0, a=40.0, b=40.0, c=40.0)
    watch.see(6, 60.0, 30.0)
    assert watch.held == 4, "that three are too few is known, that five are is not"
    watch.see(4, REMEMBER_SECONDS - 62.0, 30.0)
    assert watch.held == 4
    watch.see(4, 4.0, 30.0)
    assert watch.held == 3
    watch.see(3, LESS_SECONDS, 30.0)
    assert watch.held == 2
    watch.see(2, 3.0, 30.0, a=1.0)
    watch.see(3, 60.0, 30.0)
    assert watch.held == 3, "and what refuses once more is known again"


def test_with_a_load_that_is_a_quarter_less_the_size_is_free_after_the_delay() -> None:
    watch = Watch()
    watch.see(3, 6.0, 30.0, a=40.0, b=40.0, c=40.0)
    watch.see(4, 60.0, 30.0)
    watch.see(4, 6.0 + DELAY_SECONDS, 20.0)
    assert watch.held == 0
