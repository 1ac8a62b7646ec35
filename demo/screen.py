"""What the demo prints: numbered steps with their times, and bars for those that take long."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Bar:
    """A bar of one step; without a terminal nothing is drawn."""

    def __init__(self, progress: Progress, label: str, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total)

    def show(self, done: float, label: str | None = None) -> None:
        """Move the bar to `done`, and change its words if there are new ones."""
        self._progress.update(self._task, completed=done)
        if label is not None:
            self._progress.update(self._task, description=label)


class Screen:
    """The terminal, and the clock of the steps."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._began = time.monotonic()
        self._steps = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print a step's title, and its time when it is done."""
        self._steps += 1
        self.console.print(f"[bold cyan]{self._steps:>2}[/] [bold]{title}[/]")
        began = time.monotonic()
        yield
        self.console.print(f"   [green]done[/] in {time.monotonic() - began:.1f} s", style="dim")

    @contextlib.contextmanager
    def bar(self, label: str, total: float) -> Iterator[Bar]:
        """Draw a bar below the step's title while the block runs."""
        columns = (TextColumn("   {task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield Bar(progress, label, total)

    def say(self, text: str) -> None:
        """Print a line that belongs to the present step."""
        self.console.print(f"   {text}", soft_wrap=True, markup=False)

    def note(self, text: str) -> None:
        """Print a line that belongs to the present step and matters less, such as another program's words."""
        self.console.print(f"   {text}", style="dim", soft_wrap=True, markup=False)

    def command(self, words: Sequence[str]) -> None:
        """Print a command that the user could have typed."""
        self.console.print(f"   $ {' '.join(words)}", style="dim", soft_wrap=True, markup=False)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table that belongs to the present step."""
        table = Table(*headings, box=None, padding=(0, 2, 0, 3), header_style="bold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def fail(self, why: str, what: str = "The demo stopped:") -> None:
        """Print what failed and why."""
        self.console.print(f"[bold red]{what}[/]")
        self.console.print(why, soft_wrap=True, markup=False)

    def close(self, text: Sequence[str]) -> None:
        """Print the time of all steps together, and the last words."""
        self.console.print(f"\n[bold green]All done[/] in {time.monotonic() - self._began:.0f} s.")
        self.lines(text)

    def lines(self, text: Sequence[str]) -> None:
        """Print lines as they are, so that they can be copied."""
        for line in text:
            self.console.print(line, soft_wrap=True, markup=False)
