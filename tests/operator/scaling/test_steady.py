import random

import pytest

from foresail_operator.scaling.steady import CALM_SECONDS, Steady


def feed(steady: Steady, start: float, seconds: float, value: float, stay: float = 0.1) -> float:
    now = start
    while now < start + seconds:
        now += 0.5
        steady.add(now, value, stay)
    return now


def test_a_burst_is_seen_within_a_second() -> None:
    steady = Steady(30.0)
    now = feed(steady, 0.0, 60.0, 5.0)
    now = feed(steady, now, 1.0, 40.0)
    assert steady.level > 20


def test_a_fall_is_held_only_after_the_delay() -> None:
    steady = Steady(30.0)
    now = feed(steady, 0.0, 60.0, 40.0)
    now = feed(steady, now, 29.0, 5.0)
    assert steady.held(now) == 40.0
    now = feed(steady, now, 7.0, 5.0)
    assert steady.held(now) < 6.0


def test_what_chance_explains_is_held_for_a_minute_where_a_rise_is_to_stay() -> None:
    steady = Steady(10.0)
    now = feed(steady, 0.0, 60.0, 20.0, stay=1.0)
    now = feed(steady, now, 7.0, 21.0, stay=1.0)
    now = feed(steady, now, 30.0, 20.0, stay=1.0)
    assert (steady.held(now, calm=True), steady.held(now)) == (21.0, 20.0)
    now = feed(steady, now, CALM_SECONDS, 20.0, stay=1.0)
    assert steady.held(now, calm=True) == 20.0


@pytest.mark.parametrize("calm", [False, True])
def test_a_burst_too_short_for_the_stable_window_is_held_for_the_whole_delay(calm: bool) -> None:
    steady = Steady(30.0)
    now = feed(steady, 0.0, 60.0, 5.0)
    now = feed(steady, now, 2.0, 40.0)
    now = feed(steady, now, 27.0, 5.0)
    assert steady.held(now, calm=calm) == 40.0
    now = feed(steady, now, 9.0, 5.0)
    assert steady.held(now, calm=calm) == 5.0


def test_deviation_is_that_of_independent_requests_seen_through_a_window() -> None:
    rng, stay, mean, window = random.Random(5), 1.0, 30.0, 6.0
    ends, counts, now = list[float](), list[float](), 0.0
    integral, last = 0.0, 0.0
    while now < 6000:
        now = last + rng.expovariate(mean / stay)
        ends = [end for end in ends if end > now]
        ends.append(now + rng.expovariate(1 / stay))
        integral += len(ends) * (now - last)
        if int(now / window) != int(last / window):
            counts.append(integral / window)
            integral = 0.0
        last = now
    average = sum(counts) / len(counts)
    spread = (sum((count - average) ** 2 for count in counts) / len(counts)) ** 0.5
    steady = Steady(30.0)
    feed(steady, 0.0, 10.0, average, stay)
    assert 0.75 < spread / steady.deviation(10.0) < 1.25


def test_without_a_delay_the_present_level_is_held() -> None:
    steady = Steady(0.0)
    assert steady.held(0.0) == 0.0
    now = feed(steady, 0.0, 10.0, 7.0, stay=0.01)
    assert steady.held(now + 3.0) == 7.0


def test_requests_that_stay_for_less_than_can_be_divided_stay_for_no_time() -> None:
    steady = Steady(30.0)
    now = feed(steady, 0.0, 10.0, 5.0, stay=5e-324)
    assert (steady.level, steady.deviation(now)) == (5.0, 0.0)
