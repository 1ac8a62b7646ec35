"""How many bytes requests hold together."""

from __future__ import annotations

import threading

import pytest

from foresail_runtime import errors, room


def test_what_does_not_fit_beside_others_is_refused_and_what_left_makes_room() -> None:
    whole = room.Room(100)
    with whole.taken(60):
        with pytest.raises(errors.QueueFull), whole.taken(50):
            raise AssertionError("it was let in")
        with whole.taken(40):
            assert whole.held == 100
    assert whole.held == 0


def test_one_that_is_larger_than_all_may_be_is_let_through_alone() -> None:
    whole = room.Room(100)
    with whole.taken(500):
        assert whole.held == 500


def test_what_is_unpacked_counts_as_what_it_has_become() -> None:
    whole = room.Room(100)
    with whole.taken(10) as first, whole.taken(10) as second:
        first.resize(80)
        with pytest.raises(errors.QueueFull):
            second.resize(30)
        first.resize(20)
        second.resize(30)
        assert whole.held == 50
    assert whole.held == 0


def test_who_comes_to_a_budget_that_is_used_up_waits_for_the_others() -> None:
    budget, entered, order = room.Budget(100), threading.Event(), []

    def second() -> None:
        with budget.taken(60):
            order.append("second")
            entered.set()

    with budget.taken(60):
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
        assert not entered.is_set()
    thread.join(10)
    assert order == ["first", "second"]


def test_what_is_larger_than_the_budget_goes_alone() -> None:
    with room.Budget(100).taken(500):
        pass
