"""Pairs of ports by model."""

from __future__ import annotations

import pytest

from foresail_operator.desired import ports
from foresail_operator.desired.ports import NoPortsLeftError, Ports

FRAUD, CATS = ("team", "fraud"), ("team", "cats")


def test_a_model_keeps_its_pair_and_finds_it_again() -> None:
    found = Ports()
    first = found.take(FRAUD, None)
    assert found.take(FRAUD, None) == found.take(FRAUD, first) == first
    found.free(FRAUD)
    assert found.take(FRAUD, None) == first


def test_a_recorded_pair_is_kept_after_a_restart() -> None:
    found = Ports()
    found.learn(lambda: {FRAUD: 17})
    found.learn(lambda: {CATS: 17})  # learned once
    assert found.take(FRAUD, 17) == 17
    assert found.take(CATS, None) != 17


def test_what_is_recorded_is_learned_anew_after_it_was_forgotten() -> None:
    found = Ports()
    found.learn(lambda: {FRAUD: 17})
    found.forget()
    found.learn(lambda: {CATS: 17})
    assert found.take(CATS, 17) == 17
    assert found.take(FRAUD, 17) != 17


def test_of_two_models_with_one_pair_the_second_gets_another() -> None:
    found = Ports()
    found.take(FRAUD, 17)
    assert found.take(CATS, 17) != 17


def test_no_two_models_share_a_pair_and_the_last_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "MODELS", 8)
    found = Ports()
    assert {found.take(("team", str(number)), None) for number in range(8)} == set(range(8))
    with pytest.raises(NoPortsLeftError, match="all there are"):
        found.take(FRAUD, None)


def test_freeing_what_was_never_taken_is_nothing() -> None:
    Ports().free(FRAUD)
