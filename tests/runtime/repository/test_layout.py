"""Which versions of a model are served, and under which words they are found."""

from __future__ import annotations

import pytest

from foresail_runtime.repository import layout
from foresail_runtime.repository.layout import Names, Policy


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(), ("10",)),
        (Policy(2), ("9", "10")),
        (Policy(5), ("1", "9", "10")),
        (Policy(None), ("1", "9", "10")),
        (Policy(None, ("1", "10", "77")), ("1", "10")),
        (Policy(None, ("77",)), ()),
    ],
    ids=["latest", "latest 2", "more than there are", "all", "named", "named and not there"],
)
def test_versions_are_chosen_by_their_number(policy: Policy, expected: tuple[str, ...]) -> None:
    assert layout.choose(policy, ("10", "9", "1")) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, {"": "3"}),
        (Names("2"), {"": "2"}),
        (Names("stable", {"stable": "2", "canary": "3"}), {"": "2", "stable": "2", "canary": "3"}),
        (Names("9"), {}),
        (Names(None, {"gone": "9"}), {"": "3"}),
    ],
    ids=["the newest", "a version", "a label", "a version that is not served", "a label of none"],
)
def test_a_word_means_its_version_or_nothing(names: Names | None, expected: dict[str, str]) -> None:
    assert layout.aliases(("2", "3"), names) == {"2": "2", "3": "3", **expected}


@pytest.mark.parametrize(
    ("before", "wanted", "expected"),
    [
        (None, Names("9", {"stable": "9"}), Names("9", {"stable": "9"})),
        (Names("stable", {"stable": "2"}), Names("stable", {"stable": "3"}), Names("stable", {"stable": "3"})),
        (Names("stable", {"stable": "2"}), Names("stable", {"stable": "9"}), Names("stable", {"stable": "2"})),
        (Names("stable", {"stable": "2"}), Names("new", {"new": "9"}), Names("2", {"new": "9"})),
        (Names("stable", {"stable": "2"}), Names(None, {}), Names(None, {})),
        (Names(None, {}), Names("9", {}), Names("3", {})),
        (Names("8", {"stable": "8"}), Names("9", {"stable": "9"}), Names("9", {"stable": "9"})),
    ],
    ids=["none before", "served", "not served", "a new label", "taken away", "from the newest", "neither is served"],
)
def test_a_word_moves_once_its_version_is_served(before: Names | None, wanted: Names, expected: Names) -> None:
    assert layout.move(before, wanted, ("2", "3")) == expected


@pytest.mark.parametrize(
    ("gone_by", "expected"),
    [
        (Names("new", {"stable": "9", "canary": "3"}), {}),
        (Names("new", {"stable": "2", "canary": "3"}), {"stable": "2"}),
        (Names("1", {"stable": "2", "canary": "3"}), {"stable": "2", "": "1"}),
    ],
    ids=["all", "a label", "the default"],
)
def test_words_that_have_not_moved_are_known_with_their_versions(gone_by: Names, expected: dict[str, str]) -> None:
    assert layout.behind(gone_by, Names("new", {"stable": "9", "canary": "3"})) == expected


def test_without_versions_no_word_means_any() -> None:
    assert layout.aliases((), Names("1", {"stable": "1"})) == {}


@pytest.mark.parametrize(("name", "expected"), [("1", True), ("0", True), ("01", False), ("v1", False), ("²", False)])
def test_a_version_is_a_number_without_zeros_before_it(name: str, expected: bool) -> None:
    assert layout.is_version(name) is expected
