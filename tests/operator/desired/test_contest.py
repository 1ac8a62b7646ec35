"""When a hand edit is undone for the last time at once."""

from __future__ import annotations

import itertools

from foresail_operator.desired import contest
from foresail_operator.desired.contest import Repairs


def often(times: int, every: float, *wanted: str) -> Repairs:
    """Return the repairs after so many, with this time between two."""
    repairs = Repairs()
    for number, digest in zip(range(times), itertools.cycle(wanted or ("a",)), strict=False):
        repairs = contest.repaired(repairs, digest, number * every)
    return repairs


def test_hand_edits_now_and_then_are_undone_at_once() -> None:
    assert not often(contest.MANY - 1, 1.0).contested
    rare = often(100, contest.WINDOW_SECONDS / (contest.MANY - 1) + 1)
    assert not rare.contested
    assert contest.wait(rare, "a", 1e6) == 0


def test_another_spec_each_time_is_no_contest() -> None:
    assert not often(100, 1.0, "a", "b").contested


def test_what_comes_back_is_contested_until_it_stays_away() -> None:
    """An HPA looks every 15 s; once it is known, the pauses between repairs are longer."""
    fought = often(contest.MANY, 15.0)
    last = 15.0 * (contest.MANY - 1)
    assert contest.wait(fought, "a", last + 1) == contest.PAUSE_SECONDS - 1
    for _ in range(20):
        last += contest.PAUSE_SECONDS
        assert contest.wait(fought, "a", last) == 0
        fought = contest.repaired(fought, "a", last)
        assert contest.is_contested(fought, "a", last)
    assert contest.wait(fought, "b", last) == 0, "an edit of the spec does not wait"
    assert not contest.is_contested(fought, "a", last + contest.CALM_SECONDS)
    assert not contest.repaired(fought, "a", last + contest.WINDOW_SECONDS + 1).contested
