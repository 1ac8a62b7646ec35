"""The activator's settings."""

from __future__ import annotations

import pytest

from foresail_activator import settings
from foresail_activator.limits import Limits
from foresail_operator.errors import SettingsError


def test_variables_are_read_and_empty_ones_count_as_absent() -> None:
    chosen = settings.from_environment(
        {"FORESAIL_NAMESPACES": "a, b", "FORESAIL_HELD": "7", "FORESAIL_HOLD_SECONDS": "9", "FORESAIL_HTTP_PORT": " "}
    )
    assert chosen.namespaces == ("a", "b")
    assert chosen.limits == Limits(held=7, hold_seconds=9)
    assert chosen.http_port == 8080
    assert settings.from_environment({}) == settings.Settings()


@pytest.mark.parametrize(
    ("name", "value"), [("FORESAIL_HELD", "many"), ("FORESAIL_HTTP_PORT", "70000"), ("FORESAIL_LOG_LEVEL", "LOUD")]
)
def test_a_value_that_can_not_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.from_environment({name: value})
