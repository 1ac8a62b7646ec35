import pytest

from foresail_operator.scaling import decide
from foresail_operator.scaling.decide import Bounds, Reading
from foresail_operator.scaling.signal import Kind

TEN = Bounds(1, 10)


def flight(value: float, target: float = 16.0) -> Reading:
    return Reading(Kind.CONCURRENCY, value, target)


@pytest.mark.parametrize(
    ("value", "current", "wanted"),
    [
        (46, 1, 3),
        (48, 3, 3),
        (52.7, 3, 3),  # 9.8 % over: within the tolerance
        (53, 3, 4),  # 10.4 % over
        (43.3, 3, 3),  # 9.8 % under
        (43, 3, 3),  # 10.4 % under, but rounding up gives three again
        (31, 3, 2),
        (0, 3, 0),
        (16.001, 0, 2),  # at zero there is no tolerance
        (1, 0, 1),
    ],
)
def test_the_size_is_what_the_hpa_would_reckon(value: float, current: int, wanted: int) -> None:
    assert decide.replicas_wanted(flight(value), current) == wanted


def test_the_largest_of_several_wins_and_gives_the_reason() -> None:
    readings = [flight(20), Reading(Kind.REQUESTS_PER_SECOND, 250, 50)]
    advice = decide.advise(readings, 2, TEN)
    assert (advice.replicas, advice.kind) == (5, Kind.REQUESTS_PER_SECOND)
    assert advice.reason == "5 of 10: 250 requests a second, 50 a replica wanted"


KNOWN = "1 would do, but so few have refused requests of a load like this one"
LIMIT = "; 20 would be needed, maxReplicas is 10"
HELD = "1 would do, the size is held until scaleDownDelaySeconds have passed"


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (flight(46), "3 of 10: 46 requests in flight, 16 a replica wanted"),
        (flight(7.26, 2.5), "3 of 10: 7.3 requests in flight, 2.5 a replica wanted"),
        (Reading(Kind.QUEUE, 9, 4), "3 of 10: 9 requests waiting, 4 a replica wanted"),
        (Reading(Kind.LATENCY, 600, 250), "3 of 10: the load of 2.4 replicas that answer with a p95 of 250 ms"),
        (flight(0), "1 of 10: 0 requests in flight, 16 a replica wanted; 0 would do, minReplicas is 1"),
        (Reading(Kind.CONCURRENCY, 48, 16, seen=0.4), f"3 of 10: 0.4 requests in flight, 16 a replica wanted; {HELD}"),
        (Reading(Kind.CONCURRENCY, 46, 16, seen=40), "3 of 10: 40 requests in flight, 16 a replica wanted"),
        (
            Reading(Kind.CONCURRENCY, 32, 16, seen=0.4, refused=12.4, full=2),
            "2 of 10: 0.4 requests in flight, 16 a replica wanted, and 12 a second refused",
        ),
        (
            Reading(Kind.CONCURRENCY, 320, 16, seen=0.4, refused=9.5, full=20),
            f"10 of 10: 0.4 requests in flight, 16 a replica wanted, and 9.5 a second refused{LIMIT}",
        ),
        (
            Reading(Kind.CONCURRENCY, 48, 16, seen=0.4, kept=3),
            f"3 of 10: 0.4 requests in flight, 16 a replica wanted; {KNOWN}",
        ),
        (flight(200), "10 of 10: 200 requests in flight, 16 a replica wanted; 13 would be needed, maxReplicas is 10"),
    ],
)
def test_the_reason_is_a_sentence_a_person_understands(reading: Reading, reason: str) -> None:
    assert decide.advise([reading], 1, TEN).reason == reason


def test_a_model_that_may_sleep_is_said_to_sleep_later_not_to_have_a_minimum_that_it_has_not() -> None:
    advice = decide.advise([flight(0)], 1, decide.Bounds(1, 10, sleeps=True))
    assert advice.replicas == 1
    assert advice.reason.endswith("; 0 would do, it sleeps once idle for idleSeconds")


def test_without_a_signal_nobody_moves() -> None:
    advice = decide.advise([], 4, TEN)
    assert (advice.replicas, advice.reason) == (4, "4 of 10: no signal yet")
