"""Which pods go first, and when that is written."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from foresail_operator.scaling import leaving
from foresail_operator.scaling.leaving import LOWEST, SURE_SECONDS, Candidate, Leaving

A, B, C = (Candidate(name, f"pod-{name}") for name in "abc")
LOADS = {"a": 9.0, "b": 1.0, "c": 4.0}


def sure(leaving: int, pods: tuple[Candidate, ...], loads: dict[str, float]) -> dict[Candidate, int | None]:
    """Return what is written once a scale-in has been foreseen for long enough."""
    memory = Leaving()
    assert memory.look(leaving, pods, loads, 0) == {}
    return memory.look(leaving, pods, loads, SURE_SECONDS)


def gone_first(loads: dict[str, float], costs: dict[str, int], leaving: int) -> list[float]:
    """Return what those carry that a ReplicaSet takes: the lowest costs, of equal ones the unluckiest."""
    order = sorted(loads, key=lambda uid: (costs.get(uid, 0), -loads[uid]))
    return sorted(loads[uid] for uid in order[:leaving])


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 30).map(float), min_size=1, max_size=12),
    st.integers(0, 12),
)
def test_whoever_goes_carries_no_more_than_any_that_stays(loads: dict[str, float], number: int) -> None:
    costs = leaving.costs(loads, number)
    assert all(cost < 0 for cost in costs.values())
    for one, other in itertools.permutations(costs, 2):
        assert (loads[one] < loads[other]) == (costs[one] < costs[other])
    if 0 < number < len(loads):
        assert gone_first(loads, costs, number) == sorted(loads.values())[:number]


def test_pods_that_carry_the_same_get_no_costs_and_kubernetes_chooses_by_their_nodes() -> None:
    assert leaving.costs({"a": 3.2, "b": 2.9, "c": 3.0}, 2) == {}


def test_only_the_leaving_are_marked() -> None:
    assert leaving.costs(LOADS, 1) == {"b": LOWEST}
    assert leaving.costs(LOADS, 2) == {"b": LOWEST, "c": LOWEST + 1}


def test_nothing_is_written_while_no_scale_in_is_near() -> None:
    memory = Leaving()
    assert [memory.look(0, (A, B, C), LOADS, now) for now in range(100)] == [{}] * 100


def test_marks_are_written_once_and_follow_the_loads_in_pauses_that_double_up_to_a_minute() -> None:
    memory, pods, written = Leaving(), [A, B, C], []
    for now in range(200):
        loads = LOADS if now % 2 else {"a": 1.0, "b": 9.0, "c": 4.0}  # the worst that loads can do
        changes = memory.look(1, pods, loads, now)
        pods = [Candidate(one.uid, one.name, changes.get(one, one.cost)) for one in pods]
        written += [now] if changes else []
    assert written == [1, 6, 17, 38, 79, 140]


def test_marks_stay_as_they_are_while_the_loads_do() -> None:
    memory = Leaving()
    assert memory.look(1, (A, B, C), LOADS, 0) == {}
    assert memory.look(1, (A, B, C), LOADS, 1) == {B: LOWEST}
    marked = (A, Candidate("b", "pod-b", LOWEST), C)
    assert [memory.look(1, marked, LOADS, now) for now in range(2, 300)] == [{}] * 298


def test_when_the_replicas_are_kept_after_all_the_marks_go_a_while_later() -> None:
    memory, marked = Leaving(), Candidate("b", "pod-b", LOWEST)
    memory.look(1, (A, B, C), LOADS, 0)
    assert memory.look(0, (A, marked, C), LOADS, 1) == {}
    assert memory.look(0, (A, marked, C), LOADS, 30) == {}
    assert memory.look(0, (A, marked, C), LOADS, 31) == {marked: None}
    assert memory.look(0, (A, marked, C), LOADS, 32) == {}, "the watch has not shown it yet"
    assert memory.look(0, (A, B, C), LOADS, 33) == {}


def test_an_operator_that_starts_takes_its_forerunners_marks_away_too() -> None:
    memory, marked = Leaving(), Candidate("b", "pod-b", LOWEST)
    assert memory.look(0, (marked,), {}, 100) == {}
    assert memory.look(0, (marked,), {}, 130) == {marked: None}


def test_a_cost_that_someone_else_gave_is_left_alone() -> None:
    theirs = Candidate("b", "pod-b", 100)
    assert sure(1, (A, theirs, C), LOADS) == {C: LOWEST}


def test_a_pod_that_says_nothing_is_not_chosen() -> None:
    assert sure(1, (A, B, C), {"a": 9.0, "c": 4.0}) == {C: LOWEST}
