"""A p95 objective against a pod whose latency is known: c requests inside take max(floor, c / rate)."""

import pytest

from foresail_operator.scaling.latency import LatencyAllowance
from foresail_runtime.contract import LATENCY_BUCKETS_SECONDS

FLOOR_SECONDS = 0.02
RATE = 100.0
"""Requests a second that a full pod answers."""


def counts(seconds: float, requests: int) -> tuple[int, ...]:
    bucket = next(index for index, upper in enumerate(LATENCY_BUCKETS_SECONDS) if seconds <= upper)
    return tuple(requests if index == bucket else 0 for index in range(len(LATENCY_BUCKETS_SECONDS) + 1))


def latency(load_each: float) -> float:
    return max(FLOOR_SECONDS, load_each / RATE)


def learn(allowance: LatencyAllowance, load_each: float, seconds: float, start: float = 0.0) -> float:
    now = start
    while now < start + seconds:
        now += 0.5
        allowance.learn(now, load_each, counts(latency(load_each), 50))
    return now


@pytest.mark.parametrize("load_each", [5.0, 20.0, 60.0, 400.0])
def test_the_allowance_settles_near_what_a_full_pod_bears(load_each: float) -> None:
    allowance = LatencyAllowance(0.25)
    now, load = 0.0, load_each
    for _ in range(12):  # the size follows: each replica then holds what it is allowed
        now = learn(allowance, load, 20.0, now)
        load = allowance.allowance
    assert allowance.allowance == pytest.approx(0.25 * RATE, rel=0.25)


def test_while_overloaded_value_per_replica_is_the_measured_p95() -> None:
    allowance = LatencyAllowance(0.25)
    learn(allowance, 50.0, 60.0)
    assert allowance.value_milliseconds(50.0) == pytest.approx(1000 * latency(50.0), rel=0.15)


def test_the_value_falls_with_the_load_though_the_p95_stays_at_its_floor() -> None:
    allowance = LatencyAllowance(0.25)
    now = learn(allowance, 25.0, 60.0)
    learn(allowance, 1.0, 60.0, now)
    assert allowance.value_milliseconds(1.0) < 30


def test_a_load_that_just_rose_proves_nothing_yet() -> None:
    allowance = LatencyAllowance(0.25)
    now = learn(allowance, 10.0, 60.0)
    before = allowance.allowance
    for _ in range(6):
        now += 0.5
        allowance.learn(now, 80.0, counts(0.1, 50))  # the answers are still those of the quiet time
    assert allowance.allowance <= before * 1.6


def test_too_few_answers_teach_nothing() -> None:
    allowance = LatencyAllowance(0.25)
    allowance.learn(1.0, 10.0, counts(5.0, 3))
    assert allowance.allowance == 1.0
