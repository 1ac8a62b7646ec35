"""What the demo prints: other programs' words as they are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from demo.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("print_line", [Screen.note, Screen.say])
def test_line_with_brackets_is_printed_as_it_is(print_line: Callable[[Screen, str], None]) -> None:
    console = Console(file=io.StringIO(), width=40)
    print_line(Screen(console), "dial tcp [::1]:53 [gpu] [/nowhere]: connection refused")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "   dial tcp [::1]:53 [gpu] [/nowhere]: connection refused\n"
