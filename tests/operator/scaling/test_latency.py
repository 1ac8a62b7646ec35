"""What a replica bears of requests a second, learnt from what it holds, answers, and how late."""

import pytest

from foresail_operator.scaling.latency import CAUTION, LEARNING_SECONDS, LatencyAllowance
from foresail_runtime.contract import LATENCY_BUCKETS_SECONDS, LATENCY_COUNTS

OBJECTIVE_SECONDS = 0.25
SERVICE_SECONDS = 0.02


def counts(seconds: float, requests: int) -> tuple[int, ...]:
    bucket = next(index for index, upper in enumerate(LATENCY_BUCKETS_SECONDS) if seconds <= upper)
    return tuple(requests if index == bucket else 0 for index in range(LATENCY_COUNTS))


def queue(busy: float) -> tuple[float, float, float]:
    """Return what an M/M/1 pod holds, answers a second, and its p95 in seconds."""
    return busy / (1 - busy), busy / SERVICE_SECONDS, 3 * SERVICE_SECONDS / (1 - busy)


def learn(allowance: LatencyAllowance, busy: float, seconds: float, start: float = 0.0, pods: int = 1) -> float:
    now = start
    held, rate, p95_seconds = queue(busy)
    while now < start + seconds:
        now += 0.5
        allowance.learn(now, pods, held, rate, counts(p95_seconds, 50))
    return now


BEARS = (1 - 3 * SERVICE_SECONDS / OBJECTIVE_SECONDS) / SERVICE_SECONDS
"""Requests a second at which the queue's p95 is the objective."""


@pytest.mark.parametrize("busy", [0.6, 0.76, 0.9, 0.99])
def test_what_a_replica_bears_is_found_from_near_the_objective_and_from_above_it(busy: float) -> None:
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    learn(allowance, busy, 180.0)
    assert allowance.bearable == pytest.approx(BEARS, rel=0.15)


def test_at_the_size_that_fits_value_per_replica_is_about_the_objective() -> None:
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    learn(allowance, 0.76, 60.0)
    assert allowance.value_milliseconds(3 * BEARS, 9.0) / 3 == pytest.approx(1000 * OBJECTIVE_SECONDS, rel=0.15)


def test_the_value_is_that_of_the_load_however_many_replicas_share_it() -> None:
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    now = learn(allowance, 0.76, 60.0)
    before = allowance.value_milliseconds(100.0, 10.0)
    learn(allowance, 0.2, 60.0, now, pods=4)
    assert allowance.value_milliseconds(100.0, 1.0) == pytest.approx(before, rel=0.05)


def test_a_quiet_hour_teaches_no_more_than_caution_allows_and_unlearns_nothing() -> None:
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    now = learn(allowance, 0.2, 60.0)
    assert allowance.bearable == pytest.approx(CAUTION * queue(0.2)[1], rel=0.05)
    now = learn(allowance, 0.76, 180.0, now)
    borne = allowance.bearable
    learn(allowance, 0.05, 600.0, now)
    assert borne is not None
    assert allowance.bearable == pytest.approx(borne, rel=0.15)


def test_what_is_answered_late_because_of_other_times_teaches_nothing() -> None:
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    now = learn(allowance, 0.7, 60.0)
    before = allowance.bearable
    held, rate, _ = queue(0.7)
    for step in range(45):  # two replicas work a queue off, and what waited in it comes out late
        now += 0.5
        allowance.learn(now, 2, max(held, 60.0 - 2 * step), rate, counts(4.0, 25))
        assert allowance.bearable == before
    for _ in range(2 * round(LEARNING_SECONDS)):  # nor does the first while of other replicas
        now += 0.5
        allowance.learn(now, 4, held, rate, counts(4.0, 50))
        assert allowance.bearable == before


def test_too_few_answers_teach_nothing_and_until_something_is_known_one_request_at_a_time_is_borne() -> None:
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    for step in range(60):
        allowance.learn(0.5 * step, 1, 2.0, 0.5, counts(1.0, 1 if step % 4 == 0 else 0))
    assert allowance.bearable is None
    assert allowance.value_milliseconds(5.0, 3.0) == 3 * 1000 * OBJECTIVE_SECONDS


@pytest.mark.parametrize(
    ("held_each", "requests", "took", "seconds", "filled"),
    [
        (12.0, 60, 0.1, 0.5, 2),
        (12.0, 60, 0.3, 0.5, 24),
        (12.0, 3, 0.1, 0.0, 2),
        (12.0, 3, 0.1, 1.0, 24),
        (1.0, 3, 0.1, 9.0, 2),
        (1.5, 3, 0.1, 10.0, 3),
    ],
    ids=["in time", "late", "too soon to know", "more held than come", "few, and in time as far as known", "unknown"],
)
def test_until_something_is_known_only_replicas_that_answer_late_are_too_few(
    held_each: float, requests: int, took: float, seconds: float, filled: float
) -> None:
    """A replica that takes a batch at a time holds many and is in time."""
    allowance = LatencyAllowance(OBJECTIVE_SECONDS)
    rate_each, answered = requests / 0.5 / 2, counts(took, requests if requests > 20 else 0)
    for step in range(round(2 * seconds) + 1):
        allowance.learn(0.5 * step, 2, held_each, rate_each, answered)
        if allowance.bearable is not None:
            break
    assert allowance.value_milliseconds(2 * rate_each, 2 * held_each) == filled * 1000 * OBJECTIVE_SECONDS
