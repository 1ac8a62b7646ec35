"""When a hand edit is undone for the last time at once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from foresail_operator.desired import contest

if TYPE_CHECKING:
    from foresail_operator.desired.contest import Repairs

HPA_SECONDS = 15.0


def often(times: int, every: float, wanted: str = "a", fields: str = "f") -> Repairs:
    """Return the repairs after so many, with this time between two, of these in turn."""
    repairs = None
    for number, digest, field in zip(range(times), itertools.cycle(wanted), itertools.cycle(fields), strict=False):
        repairs = contest.repaired(repairs, digest, field, number * every)
    assert repairs is not None
    return repairs


def contested(repairs: Repairs) -> bool:
    return contest.is_contested(repairs, repairs.wanted, repairs.last)


def test_hand_edits_are_undone_at_once_in_a_hurry_or_now_and_then_or_of_one_field_after_the_other() -> None:
    assert not contested(often(300, contest.LASTING_SECONDS / 300)), "a script"
    assert not contested(often(contest.MANY - 1, HPA_SECONDS))
    assert not contested(often(100, contest.CALM_SECONDS))
    assert not contested(often(100, HPA_SECONDS, fields="fg"))


def test_another_spec_each_time_is_no_contest() -> None:
    assert not contested(often(100, HPA_SECONDS, wanted="ab"))


def test_what_comes_back_is_contested_until_it_stays_away() -> None:
    """An HPA looks every 15 s; once it is known, the pauses between repairs are longer."""
    fought = often(contest.MANY, HPA_SECONDS)
    last = fought.last
    assert contest.has_to_wait(fought, "a", last + contest.PAUSE_SECONDS - 1)
    for field in "fg" * 10:
        last += contest.PAUSE_SECONDS
        assert not contest.has_to_wait(fought, "a", last)
        fought = contest.repaired(fought, "a", field, last)
        assert contest.is_contested(fought, "a", last)
    assert not contest.has_to_wait(fought, "b", last), "an edit of the spec does not wait"
    assert not contest.is_contested(fought, "a", last + contest.CALM_SECONDS)
    assert not contested(contest.repaired(fought, "a", "f", last + contest.CALM_SECONDS))
