import pytest

from foresail_operator.scaling import growth
from foresail_operator.scaling.growth import Pace, Policy
from foresail_operator.scaling.window import Window


def sizes(*entries: tuple[float, int]) -> Window:
    window = Window(60.0)
    for at, size in entries:
        window.add(at, size)
    return window


@pytest.mark.parametrize(("current", "limit"), [(0, 4), (1, 5), (4, 8), (7, 14)])
def test_kubernetes_default_allows_four_more_or_twice_as_many(current: int, limit: int) -> None:
    assert growth.limit(growth.DEFAULT, sizes((0.0, current)), current, now=0.5) == limit


def test_what_already_grew_within_the_period_counts() -> None:
    assert growth.limit(growth.DEFAULT, sizes((0.0, 1), (1.0, 5)), 5, now=2.0) == 5
    assert growth.limit(growth.DEFAULT, sizes((0.0, 1), (1.0, 5)), 5, now=15.5) == 10


def test_a_size_that_fell_is_its_own_base() -> None:
    assert growth.limit(growth.DEFAULT, sizes((0.0, 8), (1.0, 3)), 3, now=2.0) == 7


def test_a_wake_is_no_growth_and_one_replica_the_least_that_grows() -> None:
    twice_in_ten_minutes, asleep = Pace((Policy(600, percent=100),)), sizes((0.0, 0), (1.0, 1))
    assert growth.limit(twice_in_ten_minutes, asleep, 1, now=2.0) == 2
    assert growth.limit(growth.DEFAULT, asleep, 1, now=2.0) == 5


def test_the_strictest_policy_rules_when_asked_to() -> None:
    policies = (Policy(15, pods=2), Policy(15, percent=300))
    assert growth.limit(Pace(policies), sizes((0.0, 3)), 3, 1.0) == 12
    assert growth.limit(Pace(policies, strictest=True), sizes((0.0, 3)), 3, 1.0) == 5


def test_no_policy_at_all_forbids_to_grow() -> None:
    assert growth.limit(Pace(()), sizes((0.0, 3)), 3, 1.0) == 3
    assert Pace(()).memory_seconds == 0.0


@pytest.mark.parametrize(
    ("pace", "floor"),
    [
        (growth.DEFAULT_DOWN, 0),
        (Pace((Policy(60, pods=1),)), 9),
        (Pace((Policy(60, percent=25),)), 7),
        (Pace((Policy(60, pods=1), Policy(60, percent=50))), 5),
        (Pace((Policy(60, pods=1), Policy(60, percent=50)), strictest=True), 9),
        (Pace(()), 10),
    ],
)
def test_so_far_down_a_size_of_ten_may_go(pace: Pace, floor: int) -> None:
    assert growth.floor(pace, sizes((0.0, 10)), 10, now=1.0) == floor


def test_what_already_went_within_the_period_counts() -> None:
    one_a_minute = Pace((Policy(60, pods=1),))
    assert growth.floor(one_a_minute, sizes((0.0, 10), (1.0, 9)), 9, now=59.0) == 9
    assert growth.floor(one_a_minute, sizes((0.0, 10), (1.0, 9)), 9, now=60.5) == 8
