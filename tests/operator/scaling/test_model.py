"""One model through its states, second by second."""

import bisect
import dataclasses

import pytest

from foresail_operator.scaling import decide, growth
from foresail_operator.scaling.model import Goal, ModelScaler, Plan
from foresail_operator.scaling.signal import Kind, Refusal, Sample
from foresail_runtime.contract import LATENCY_BUCKETS_SECONDS, LATENCY_COUNTS

PLAN = Plan((Goal(Kind.CONCURRENCY, 7.0),), decide.Bounds(1, 10), scale_down_delay_seconds=30.0, idle_seconds=60.0)


def sample(now: float, concurrency: float) -> Sample:
    return Sample(now, concurrency, queued=0, requests_per_second=concurrency * 10, pods=1)


class Clock:
    """A scaler and the time, moved on together."""

    def __init__(self, plan: Plan = PLAN, replicas: int = 1) -> None:
        self.now = 0.0
        self.replicas = replicas
        self.scaler = ModelScaler(plan, self.now)

    def carry(self, concurrency: float | None, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            seen = None if concurrency is None else sample(self.now, concurrency)
            self.scaler.take(seen, self.replicas, self.now)

    @property
    def served(self) -> float | None:
        return self.scaler.served(Kind.CONCURRENCY, self.replicas, self.now)

    def allowed(self) -> int:
        advice = self.scaler.advise(self.replicas, self.now)
        return self.scaler.allowed(advice.replicas, self.replicas, self.now)

    def rise(self) -> int | None:
        advice = self.scaler.rise(self.replicas, self.now)
        if advice is None:
            return None
        self.replicas = advice.replicas
        return advice.replicas


def test_a_step_of_load_asks_for_the_replicas_within_two_seconds() -> None:
    clock = Clock()
    clock.carry(4.0, 60.0)
    assert clock.rise() is None
    clock.carry(26.0, 2.0)
    assert clock.rise() == 4
    assert clock.rise() is None


def test_the_rise_keeps_to_what_growth_allows() -> None:
    clock = Clock()
    clock.carry(4.0, 60.0)
    clock.carry(500.0, 2.0)
    assert clock.rise() == 5
    clock.carry(500.0, 10.0)
    assert clock.rise() is None
    clock.carry(500.0, 6.0)
    assert clock.rise() == 10


def test_a_plan_that_forbids_growth_is_obeyed() -> None:
    plan = Plan(PLAN.goals, PLAN.bounds, growth=growth.Pace(()))
    clock = Clock(plan)
    clock.carry(500.0, 10.0)
    assert clock.rise() is None


def test_the_hpa_confirms_a_rise_at_its_next_look() -> None:
    clock = Clock()
    clock.carry(4.0, 60.0)
    clock.carry(26.0, 2.0)
    clock.rise()
    clock.carry(26.0, 13.0)
    assert clock.scaler.advise(clock.replicas, clock.now).replicas == 4


def test_the_past_keeps_what_is_there_and_never_asks_for_more() -> None:
    clock = Clock(replicas=3)
    clock.carry(20.0, 60.0)
    clock.carry(300.0, 3.0)
    clock.carry(20.0, 10.0)
    assert clock.served == 21.0  # three replicas' worth, though 300 were seen half a minute ago


def test_after_the_delay_the_number_falls_and_the_hpa_follows() -> None:
    clock = Clock(replicas=4)
    clock.carry(26.0, 60.0)
    clock.carry(4.0, 25.0)
    assert clock.scaler.advise(clock.replicas, clock.now).replicas == 4
    clock.carry(4.0, 12.0)
    advice = clock.scaler.advise(clock.replicas, clock.now)
    assert (advice.replicas, advice.reason) == (1, "1 of 10: 4 requests in flight, 7 a replica wanted")


def test_a_scaler_that_just_started_keeps_the_size_that_is_there() -> None:
    clock = Clock(replicas=6)
    clock.carry(3.0, 20.0)
    assert clock.served == 42.0
    assert clock.scaler.advise(clock.replicas, clock.now).replicas == 6
    clock.carry(3.0, 15.0)
    assert clock.served == 3.0


def test_silence_is_served_as_nothing_and_never_as_zero() -> None:
    clock = Clock(replicas=3)
    clock.carry(20.0, 60.0)
    clock.carry(None, 4.0)
    assert clock.served == 20.0
    clock.carry(None, 2.0)
    gone: float | None = clock.served
    assert gone is None
    assert clock.scaler.advise(3, clock.now).reason == "3 of 10: no signal yet"
    assert not clock.scaler.idle(clock.now)


def test_a_metric_the_model_does_not_have_is_served_as_nothing() -> None:
    clock = Clock()
    clock.carry(20.0, 60.0)
    assert clock.scaler.served(Kind.QUEUE, 1, clock.now) is None


def test_a_model_is_idle_only_after_its_whole_idle_time_without_a_request() -> None:
    clock = Clock()
    clock.carry(0.0, 50.0)
    clock.carry(0.1, 0.5)
    clock.carry(0.0, 59.0)
    assert not clock.scaler.idle(clock.now)
    clock.carry(0.0, 1.5)
    assert clock.scaler.idle(clock.now)


def test_a_model_of_whose_replicas_one_can_not_be_asked_is_not_idle() -> None:
    clock = Clock(replicas=2)
    silent = dataclasses.replace(sample(0.0, 0.0), pods=2, silent=1)
    for _ in range(150):
        clock.now += 0.5
        clock.scaler.take(dataclasses.replace(silent, at=clock.now), 2, clock.now)
    assert not clock.scaler.idle(clock.now)
    clock.carry(0.0, 59.0)
    assert not clock.scaler.idle(clock.now)
    clock.carry(0.0, 1.5)
    assert clock.scaler.idle(clock.now)


def test_a_model_without_an_idle_time_never_sleeps() -> None:
    clock = Clock(Plan(PLAN.goals, PLAN.bounds))
    clock.carry(0.0, 600.0)
    assert not clock.scaler.idle(clock.now)


def test_requests_a_second_and_queue_are_goals_of_their_own() -> None:
    goals = (Goal(Kind.REQUESTS_PER_SECOND, 100.0), Goal(Kind.QUEUE, 5.0))
    clock = Clock(Plan(goals, decide.Bounds(1, 10)))
    clock.carry(45.0, 60.0)
    advice = clock.scaler.advise(clock.replicas, clock.now)
    assert (advice.replicas, advice.reason) == (5, "5 of 10: 450 requests a second, 100 a replica wanted")


def test_a_scale_in_is_foreseen_some_seconds_before_the_number_falls_and_not_while_the_load_stays() -> None:
    clock = Clock(replicas=4)
    clock.carry(26.0, 60.0)
    assert clock.scaler.leaving(4, clock.now) == 0
    foreseen = lowered = None
    while lowered is None:
        clock.carry(5.0, 0.5)
        if foreseen is None and clock.scaler.leaving(4, clock.now):
            foreseen = clock.now
        if clock.scaler.advise(4, clock.now).replicas < 4:
            lowered = clock.now
    assert foreseen is not None
    assert 4.0 <= lowered - foreseen <= 6.0
    assert clock.scaler.leaving(4, clock.now) == 3


def test_where_the_owner_lets_nothing_shrink_no_scale_in_is_foreseen() -> None:
    clock = Clock(dataclasses.replace(PLAN, shrinkage=growth.Pace(())), replicas=4)
    clock.carry(5.0, 120.0)
    assert clock.scaler.leaving(4, clock.now) == 0


ONE_A_MINUTE = growth.Pace((growth.Policy(60.0, pods=1),))


@pytest.mark.parametrize(
    ("pace", "sizes"),
    [(growth.DEFAULT_DOWN, [1, 1, 1]), (ONE_A_MINUTE, [9, 8, 7]), (growth.Pace(()), [10, 10, 10])],
    ids=["Kubernetes' own", "one a minute", "never"],
)
def test_the_size_that_bounds_say_falls_no_faster_than_the_owner_lets_it(pace: growth.Pace, sizes: list[int]) -> None:
    clock = Clock(dataclasses.replace(PLAN, shrinkage=pace), replicas=10)
    clock.carry(65.0, 90.0)
    clock.carry(2.0, 40.0)
    found = []
    for _ in range(3):
        clock.replicas = clock.allowed()
        found.append(clock.replicas)
        clock.carry(2.0, 61.0)
    assert found == sizes


@pytest.mark.parametrize(
    ("pace", "sizes"),
    [(growth.DEFAULT, [5, 10, 10]), (ONE_A_MINUTE, [2, 2, 2]), (growth.Pace(()), [1, 1, 1])],
    ids=["Kubernetes' own", "one a minute", "never"],
)
def test_nor_does_it_rise_faster(pace: growth.Pace, sizes: list[int]) -> None:
    clock = Clock(dataclasses.replace(PLAN, growth=pace))
    clock.carry(4.0, 60.0)
    found = []
    for _ in range(3):
        clock.carry(120.0, 16.0)
        clock.replicas = clock.allowed()
        found.append(clock.replicas)
    assert found == sizes


def test_where_the_owner_has_a_rise_wait_it_is_neither_at_once_nor_said_by_bounds_before() -> None:
    plan = dataclasses.replace(PLAN, growth=dataclasses.replace(growth.DEFAULT, wait_seconds=30.0))
    clock = Clock(plan)
    clock.carry(4.0, 60.0)
    clock.carry(26.0, 25.0)
    assert (clock.rise(), clock.allowed()) == (None, 1)
    clock.carry(26.0, 10.0)
    assert (clock.rise(), clock.allowed()) == (None, 4)


def test_a_model_that_woke_grows_as_one_that_was_at_one_replica() -> None:
    """It stood still for the whole period of a policy: what it was while asleep counted as what it grew from."""
    twice_in_ten_minutes = growth.Pace((growth.Policy(600.0, percent=100),))
    clock = Clock(dataclasses.replace(PLAN, bounds=decide.Bounds(1, 10, sleeps=True), growth=twice_in_ten_minutes), 0)
    clock.carry(0.0, 60.0)
    clock.replicas = 1
    clock.carry(120.0, 2.0)
    assert clock.allowed() == 2


def test_the_wait_of_a_rise_begins_with_the_operator_with_an_edit_and_with_what_is_heard_again() -> None:
    """Each upgrade of the operator jumped to what its first look asked for."""
    plan = dataclasses.replace(PLAN, growth=dataclasses.replace(growth.DEFAULT, wait_seconds=30.0))
    clock = Clock(plan)
    found = []

    def wait() -> None:
        for seconds in (29.0, 2.0):
            clock.carry(26.0, seconds)
            found.append(clock.allowed())

    wait()
    clock.scaler.replan(dataclasses.replace(plan, growth=dataclasses.replace(growth.DEFAULT, wait_seconds=30.5)))
    wait()
    clock.carry(None, 60.0)
    wait()
    assert found == [1, 4] * 3


def rises(scaler: ModelScaler, begun: float, seconds: float) -> list[int]:
    """Let four replicas that take twelve requests at a time answer each in 0.1 s; return what is asked for."""
    bucket = bisect.bisect_left(LATENCY_BUCKETS_SECONDS, 0.1)
    latency = tuple(240 if index == bucket else 0 for index in range(LATENCY_COUNTS))
    found = []
    for step in range(1, round(2 * seconds) + 1):
        now = begun + 0.5 * step
        scaler.take(Sample(now, 48.0, 0.0, 480.0, pods=4, latency=latency), 4, now)
        found += [advice.replicas for advice in [scaler.rise(4, now)] if advice]
        found += [wanted for wanted in [scaler.advise(4, now).replicas] if wanted != 4]
    return found


def test_neither_a_start_of_the_operator_nor_another_objective_adds_to_replicas_that_answer_in_time() -> None:
    plan = Plan((Goal(Kind.LATENCY, 400.0),), decide.Bounds(1, 50), 300.0)
    scaler = ModelScaler(plan, 0.0)
    assert rises(scaler, 0.0, 120.0) == []
    for begun, objective in ((120.0, 500.0), (240.0, 300.0)):
        scaler.replan(dataclasses.replace(plan, goals=(Goal(Kind.LATENCY, objective),)))
        assert rises(scaler, begun, 120.0) == []


def test_a_lower_objective_asks_for_more_in_a_minute_and_not_for_all_there_are() -> None:
    plan = Plan((Goal(Kind.LATENCY, 110.0),), decide.Bounds(1, 50), 300.0)
    scaler = ModelScaler(plan, 0.0)
    assert rises(scaler, 0.0, 120.0) == []
    scaler.replan(dataclasses.replace(plan, goals=(Goal(Kind.LATENCY, 80.0),)))
    assert rises(scaler, 120.0, 60.0)[-1] == 5


def test_replicas_of_which_nothing_is_known_but_that_they_answer_late_are_joined_by_others() -> None:
    scaler = ModelScaler(Plan((Goal(Kind.LATENCY, 50.0),), decide.Bounds(1, 50), 300.0), 0.0)
    assert rises(scaler, 0.0, 1.0)[0] == 8


def refuse(clock: Clock, refused: float, seconds: float) -> None:
    """Let bursts come of which the replicas answer ten a second, holding 0.3 in the mean, and refuse some."""
    until = clock.now + seconds
    while clock.now < until:
        clock.now += 0.5
        refusals = (Refusal("", refused, 10.0),) if refused else ()
        seen = Sample(
            clock.now, 0.3, 0.0, 10.0 + refused, clock.replicas, refused_per_second=refused, refusals=refusals
        )
        clock.scaler.take(seen, clock.replicas, clock.now)


def test_bursts_of_which_most_is_refused_add_replicas_while_the_mean_is_far_below_the_target() -> None:
    clock = Clock()
    refuse(clock, 0.0, 60.0)
    refuse(clock, 30.0, 1.5)
    assert clock.rise() is None
    refuse(clock, 30.0, 0.5)
    assert clock.served == 14.0, "the HPA is served what two replicas carry"
    advice = clock.scaler.advise(1, clock.now)
    assert (advice.replicas, advice.reason) == (
        2,
        "2 of 10: 0.3 requests in flight, 7 a replica wanted, and 30 a second refused",
    )
    assert clock.rise() == 2
    refuse(clock, 30.0, 2.5)
    assert clock.rise() == 4
    refuse(clock, 0.0, 60.0)
    assert clock.scaler.advise(4, clock.now).replicas == 3, "two are known to be too few for this"
    assert clock.scaler.advise(3, clock.now).reason == (
        "3 of 10: 0.3 requests in flight, 7 a replica wanted; 1 would do, "
        "but so few have refused requests of a load like this one"
    )
    clock.carry(0.3, 40.0)
    assert clock.scaler.advise(4, clock.now).replicas == 1, "so little comes now that it is another load"


def test_a_hot_loop_of_one_client_doubles_what_is_there_and_no_more_until_that_is_ready() -> None:
    clock = Clock(replicas=2)
    refuse(clock, 0.0, 60.0)
    refuse(clock, 100_000.0, 14.0)
    assert clock.scaler.advise(2, clock.now).replicas == 4
    assert clock.served == 28.0


def test_refusals_are_no_chance_that_a_fall_keeps_from_adding_replicas() -> None:
    clock = Clock(replicas=2)
    refuse(clock, 0.0, 60.0)
    clock.replicas = 1
    refuse(clock, 0.0, 5.0)
    refuse(clock, 30.0, 2.0)
    assert clock.rise() == 2


@pytest.mark.parametrize("kind", list(Kind))
def test_whatever_a_model_scales_on_it_grows_when_it_refuses(kind: Kind) -> None:
    clock = Clock(Plan((Goal(kind, 1000.0),), decide.Bounds(1, 10)))
    refuse(clock, 0.0, 60.0)
    refuse(clock, 30.0, 2.0)
    assert clock.rise() == 2


def test_refused_requests_are_requests_a_second_as_far_as_they_are_believed() -> None:
    clock = Clock(Plan((Goal(Kind.REQUESTS_PER_SECOND, 5.0),), decide.Bounds(1, 50)), replicas=2)
    refuse(clock, 0.0, 60.0)
    assert clock.scaler.advise(2, clock.now).replicas == 2
    refuse(clock, 5.0, 1.0)
    refuse(clock, 5.0, 6.0)
    assert clock.scaler.advise(2, clock.now).replicas == 3
    refuse(clock, 5000.0, 8.0)
    assert clock.scaler.advise(2, clock.now).replicas == 4


def test_who_waits_before_it_grows_grows_for_refusals_too_once_they_have_lasted() -> None:
    plan = dataclasses.replace(PLAN, growth=growth.Pace(growth.DEFAULT.policies, wait_seconds=10.0))
    clock = Clock(plan)
    refuse(clock, 0.0, 60.0)
    for _ in range(10):
        refuse(clock, 30.0, 0.5)  # a burst a second
        refuse(clock, 0.0, 0.5)
    assert (clock.rise(), clock.allowed()) == (None, 1)
    for _ in range(4):
        refuse(clock, 30.0, 0.5)
        refuse(clock, 0.0, 0.5)
    assert clock.allowed() == 2
