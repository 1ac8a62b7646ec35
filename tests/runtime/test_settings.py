"""Variables to settings, and a sentence for each that has no sense."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

from foresail_runtime import contract, settings

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "runtime.md"


def test_the_documentation_has_every_variable_and_the_defaults_that_are_numbers() -> None:
    page = DOCUMENT.read_text().partition("## Settings")[2].partition("## ")[0]
    told: dict[str, str] = {}
    for variables, defaults in re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (.+?) \| ", page, re.MULTILINE):
        names = re.findall(r"[A-Z_]+", variables)
        cells = defaults.split(", ")[-len(names) :] if len(names) > 1 else [defaults]
        told |= dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))
    assert told.keys() == settings.VARIABLES.keys()
    made = settings.Settings()
    numbers = {name: re.match(r"([\d.]+)(?=$|:)", cell) for name, cell in told.items()}
    plain = {name: float(found[1]) for name, found in numbers.items() if found}
    assert plain == {name: getattr(made, settings.VARIABLES[name][0]) for name in plain}
    assert len(plain) > 12


def test_nothing_set_is_the_defaults() -> None:
    assert settings.read({}) == settings.Settings()
    assert settings.read({"FORESAIL_HTTP_PORT": "", "PATH": "/bin"}) == settings.Settings()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        (contract.ENV_DRAIN_SECONDS, "2.5", "drain_seconds", 2.5),
        (contract.ENV_CPU_LIMIT, "3", "threads", 3),
        ("FORESAIL_HTTP_PORT", "0", "http_port", 0),
        ("FORESAIL_GRPC_PORT", "9000", "grpc_port", 9000),
        ("FORESAIL_GRPC_PORT", "off", "grpc_port", None),
        ("FORESAIL_ACCESS_LOG", "yes", "access_log", True),
        ("FORESAIL_ALLOW_FALLBACK", "0", "allow_fallback", False),
        ("FORESAIL_LOG_FORMAT", "json", "log_format", "json"),
        ("FORESAIL_OVERLOAD_STATUS", "503", "overload_status", 503),
        ("FORESAIL_ALLOWED_ORIGINS", "https://a, https://b", "allowed_origins", ("https://a", "https://b")),
    ],
)
def test_a_variable_is_read(variable: str, text: str, field: str, value: Any) -> None:
    assert getattr(settings.read({variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (contract.ENV_DRAIN_SECONDS, "-1"),
        (contract.ENV_DRAIN_SECONDS, "nan"),
        (contract.ENV_CPU_LIMIT, "0"),
        ("FORESAIL_HTTP_PORT", "http"),
        ("FORESAIL_HTTP_PORT", "70000"),
        ("FORESAIL_GRPC_PORT", "-1"),
        ("FORESAIL_ACCESS_LOG", "maybe"),
        ("FORESAIL_LOG_FORMAT", "xml"),
        ("FORESAIL_OVERLOAD_STATUS", "500"),
    ],
)
def test_a_variable_without_sense_is_named(variable: str, text: str) -> None:
    with pytest.raises(settings.SettingError, match=f"{variable}='{text}'"):
        settings.read({variable: text})


def test_what_may_be_held_is_a_share_of_the_containers_memory_unless_it_is_set() -> None:
    assert settings.read({}) == settings.Settings()
    assert settings.read({}, 2**40) == settings.Settings()
    small = settings.read({"FORESAIL_MAX_QUEUE_BYTES": "77"}, 2**28)
    assert (small.max_body_bytes, small.max_held_bytes, small.max_queue_bytes) == (2**24, 2**26, 77)
    assert small.max_parsed_bytes == 2**27
