"""What the demo prints: other programs' words as they are."""

from __future__ import annotations

import io

from rich.console import Console

from demo.screen import Screen


def test_note_with_brackets_is_printed_as_it_is() -> None:
    console = Console(file=io.StringIO(), width=40)
    Screen(console).note("dial tcp [::1]:53 [/nowhere]: connection refused")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "   dial tcp [::1]:53 [/nowhere]: connection refused\n"
