"""When a model sleeps and wakes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from foresail_operator.desired import zero
from foresail_operator.desired.zero import Situation, Turn

if TYPE_CHECKING:
    from tests.operator.conftest import MakeModel

QUIET = Situation(size=1, settled=True, wished_for=False, idle=True, armed=True, proved=True)
ASLEEP = dataclasses.replace(QUIET, size=0)


def test_a_quiet_model_sleeps() -> None:
    assert zero.decide(QUIET, sleepy=True) is Turn.SLEEP


@pytest.mark.parametrize(
    "doubt",
    [{"settled": False}, {"wished_for": True}, {"idle": False}, {"armed": False}, {"proved": False}, {"size": None}],
    ids=lambda doubt: next(iter(doubt)),
)
def test_the_least_doubt_keeps_a_model_awake(doubt: dict[str, bool]) -> None:
    assert zero.decide(dataclasses.replace(QUIET, **doubt), sleepy=True) is Turn.KEEP


def test_a_model_that_may_not_sleep_stays_awake() -> None:
    assert zero.decide(QUIET, sleepy=False) is Turn.KEEP


def test_a_sleeping_model_sleeps_on() -> None:
    assert zero.decide(ASLEEP, sleepy=True) is Turn.KEEP


@pytest.mark.parametrize("why", ["someone waits", "a new revision has to prove itself", "it may no longer sleep"])
def test_a_sleeping_model_wakes(why: str) -> None:
    now = dataclasses.replace(ASLEEP, wished_for=why == "someone waits", proved=not why.startswith("a new"))
    assert zero.decide(now, sleepy=why != "it may no longer sleep") is Turn.WAKE


def test_requests_are_held_for_all_but_those_that_were_switched_off(make_model: MakeModel) -> None:
    assert zero.held(make_model())
    assert not zero.held(make_model(holdRequests=False))
    assert not zero.held(make_model(replicas=0))


def test_only_a_minimum_of_zero_lets_a_model_sleep(make_model: MakeModel) -> None:
    assert zero.sleepy(make_model(scaling={"minReplicas": 0, "maxReplicas": 2}))
    assert not zero.sleepy(make_model(scaling={"maxReplicas": 2}))
    assert not zero.sleepy(make_model())
