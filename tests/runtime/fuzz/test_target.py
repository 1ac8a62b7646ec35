"""A small turn of what `make fuzz` does for minutes: the good input, changed at random; and all that was ever found."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.fuzz.target import Target

FOUND: dict[str, bytes] = {}
"""Input that broke something once, by its story."""


@functools.cache
def target() -> Target:
    return Target()


@functools.cache
def seeds() -> tuple[bytes, ...]:
    return tuple(target().seeds())


def test_good_input_of_every_way_is_taken() -> None:
    assert {seed[0] % len(target().ways) for seed in seeds()} == set(range(len(target().ways)))
    assert [(seed[:200], status) for seed in seeds() if (status := target()(seed)) is not None] == []


def test_what_was_found_stays_mended() -> None:
    for broken in FOUND.values():
        target()(broken)


@pytest.mark.filterwarnings("ignore::Warning")  # Pillow's, of broken pictures
@settings(max_examples=150)
@given(st.data())
def test_changed_input_is_answered_or_refused_and_never_a_mistake_of_ours(data: st.DataObject) -> None:
    seed = bytearray(data.draw(st.sampled_from(seeds())))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(1, len(seed)))
        end = data.draw(st.integers(start, min(len(seed), start + 16)))
        seed[start:end] = data.draw(st.binary(max_size=16))
    target()(bytes(seed))
