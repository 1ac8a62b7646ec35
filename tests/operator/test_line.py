"""The line in which keys wait for a look."""

from __future__ import annotations

import pytest

from foresail_operator.line import Line

NEW = [("n", f"new{number}") for number in range(5)]
OLD = [("n", f"old{number}") for number in range(5)]


def line() -> Line:
    return Line(lambda key: key in NEW)


def test_three_newcomers_go_before_each_other_key() -> None:
    waiting = line()
    for since, key in enumerate((*OLD, *NEW)):
        waiting.add(key, since)
    assert waiting.newcomers == 5
    taken = [waiting.take()[0] for _ in range(10)]
    assert taken == [*NEW[:3], OLD[0], *NEW[3:], *OLD[1:]]


def test_a_key_that_waits_keeps_its_place_and_time() -> None:
    waiting = line()
    waiting.add(OLD[0], 1.0)
    waiting.add(OLD[1], 2.0)
    waiting.add(OLD[0], 3.0)
    assert len(waiting) == 2
    assert [waiting.take(), waiting.take()] == [(OLD[0], 1.0), (OLD[1], 2.0)]


def test_a_newcomer_that_waits_stays_one_though_it_has_been_carried_out_meanwhile() -> None:
    new = {OLD[0]}
    waiting = Line(lambda key: key in new)
    waiting.add(OLD[0], 1.0)
    new.clear()
    waiting.add(OLD[0], 2.0)
    assert len(waiting) == 1


def test_the_oldest_of_both_is_told() -> None:
    waiting = line()
    assert waiting.oldest() is None
    waiting.add(OLD[0], 1.0)
    waiting.add(NEW[0], 2.0)
    assert waiting.oldest() == 1.0
    waiting.take()
    assert waiting.oldest() == 1.0
    waiting.take()
    with pytest.raises(KeyError):
        waiting.take()
