"""When the operator's memory counts as flat."""

from __future__ import annotations

from bench.scaling import bars, memory

LOOKS = 400
"""Of five seconds each: half an hour and more."""


def looks(mebibytes_an_hour: float, count: int = LOOKS) -> list[tuple[float, float]]:
    """Return what an operator shows that takes 7 MiB in its first five minutes, and breathes a little all the time."""
    at = [memory.LOOK_SECONDS * number for number in range(1, count + 1)]
    return [
        (one, 70.5 + 7 * min(one / 300, 1) + mebibytes_an_hour * one / 3600 + 0.4 * (number % 2))
        for number, one in enumerate(at)
    ]


def test_what_an_operator_takes_while_it_warms_up_is_no_growth() -> None:
    found = memory.trend(looks(0))
    assert (found["mebibytes_first"], found["mebibytes_last"], found["percent_an_hour"]) == (70.6, 77.9, 0.0)
    assert bars.missed({"memory": found}) == []


def test_what_goes_on_growing_misses_the_bar_whatever_the_last_look_is() -> None:
    found = memory.trend([*looks(9)[:-1], (memory.LOOK_SECONDS * LOOKS, 70.0)])
    assert bars.missed({"memory": found}) == ["memory: the operator's grows by 10.9 % an hour, bar 10 %"]


def test_a_run_that_ends_soon_after_the_warm_up_is_not_judged() -> None:
    found = memory.trend(looks(60, count=150))
    assert (found["mebibytes_warm"], found["percent_an_hour"]) == (82.9, None)
    assert bars.missed({"memory": found}) == []
