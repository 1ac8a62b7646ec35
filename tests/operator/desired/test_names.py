"""Names of children."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresail_operator.desired import names

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
PARTS = st.text("abz019-", min_size=1, max_size=32).filter(lambda part: part[0] != "-" != part[-1])
NAMES = st.lists(PARTS, min_size=1, max_size=8).map(".".join).filter(lambda name: len(name) <= 253)


def all_names(name: str) -> list[str]:
    return [
        names.deployment(name),
        names.service(name),
        names.headless_service(name),
        names.autoscaler(name),
        names.disruption_budget(name),
        names.direct_service(name),
        names.proxy(name),
        names.proxy_configuration(name, "content"),
        names.description(name, "content"),
    ]


@given(NAMES)
def test_every_child_of_every_name_is_a_service_name(name: str) -> None:
    assert all(LABEL.fullmatch(child) for child in all_names(name))


@given(NAMES, NAMES)
def test_two_models_never_share_a_child(one: str, other: str) -> None:
    if one != other:
        assert not set(all_names(one)) & set(all_names(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a" * 60 + "x", "a" * 60 + "y"),
        ("a.b", "a-b"),
        ("x", "x-pods"),
        ("x", "x-proxy"),
        ("x", "x-direct"),
        ("1x", "m-1x"),
        ("a" * 200 + ".x", "a" * 200 + ".y"),
    ],
)
def test_names_that_look_alike_after_truncation_stay_apart(one: str, other: str) -> None:
    assert not set(all_names(one)) & set(all_names(other))


def test_a_hashed_name_can_not_be_taken_on_purpose() -> None:
    assert names.base(names.base("x-pods")) != names.base("x-pods")


def test_an_ordinary_name_is_kept() -> None:
    assert names.deployment("fraud-scoring-2") == "fraud-scoring-2"
    assert names.headless_service("fraud") == "fraud-pods"


def test_another_content_has_another_description() -> None:
    assert names.description("fraud", "a") != names.description("fraud", "b")
