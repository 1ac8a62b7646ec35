import pytest

from foresail_operator.scaling import growth
from foresail_operator.scaling.growth import Growth, Policy
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


def test_the_strictest_policy_rules_when_asked_to() -> None:
    policies = (Policy(15, pods=2), Policy(15, percent=300))
    assert growth.limit(Growth(policies), sizes((0.0, 3)), 3, 1.0) == 12
    assert growth.limit(Growth(policies, strictest=True), sizes((0.0, 3)), 3, 1.0) == 5


def test_no_policy_at_all_forbids_to_grow() -> None:
    assert growth.limit(Growth(()), sizes((0.0, 3)), 3, 1.0) == 3
    assert Growth(()).memory_seconds == 0.0
