"""What `foresail` prints of itself."""

from __future__ import annotations

from foresail_runtime import __main__ as cli


def test_help_speaks_to_who_types_and_not_to_who_develops() -> None:
    text = cli._parser().format_help()
    assert "Open Inference Protocol" in text
    assert "|" not in text, "a table of the threads was in it, its lines joined"
