"""What `foresail` prints of itself."""

from __future__ import annotations

import pytest

from foresail_runtime import __main__ as cli


def test_help_speaks_to_who_types_and_not_to_who_develops() -> None:
    text = cli._parser().format_help()
    assert "Open Inference Protocol" in text
    assert "|" not in text, "a table of the threads was in it, its lines joined"


def test_help_of_serve_says_what_is_served_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["serve", "--help"])
    assert {"FORESAIL_MODEL_REPOSITORY", "FORESAIL_MODEL_DESCRIPTION"} <= set(capsys.readouterr().out.split())
