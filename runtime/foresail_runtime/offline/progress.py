"""How far a run is, for people: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

BAR_SECONDS: Final = 0.2
LINE_SECONDS: Final = 10.0
_BAR_WIDTH: Final = 24


class Bar:
    """Writes to a stream; `portion` and `rows` only ever grow."""

    def __init__(self, stream: TextIO, clock: Callable[[], float], *, rows: int = 0, portion: float = 0.0) -> None:
        """Begin at what an earlier run has done."""
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._begun = self._shown = clock()
        self._rows_before = rows
        self._portion_before = portion
        self._open = False

    def update(self, rows: int, portion: float, faults: int) -> None:
        """Show how far it is, if it is time to."""
        now = self._clock()
        if now - self._shown < (BAR_SECONDS if self._terminal else LINE_SECONDS):
            return
        self._shown = now
        self._write(self._line(rows, portion, faults, now))

    def end(self, rows: int, faults: int, words: str) -> None:
        """Write the last line: what became of it."""
        seconds = max(self._clock() - self._begun, 1e-9)
        rate = (rows - self._rows_before) / seconds
        self._write(f"{words}: {rows:,} rows, {faults:,} with errors, {rate:,.0f} rows/s, {span(seconds)}")
        if self._open:
            self._stream.write("\n")
        self._stream.flush()

    def _line(self, rows: int, portion: float, faults: int, now: float) -> str:
        seconds = max(now - self._begun, 1e-9)
        rate = (rows - self._rows_before) / seconds
        gained = portion - self._portion_before
        left = span(seconds * (1 - portion) / gained) if gained > 0 else "?"
        errors = f", {faults:,} with errors" if faults else ""
        return f"{bar(portion, _BAR_WIDTH)} {portion:4.0%} {rows:,} rows{errors}, {rate:,.0f} rows/s, {left} left"

    def _write(self, line: str) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{line[:width]}")
            self._open = True
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()


def bar(portion: float, width: int) -> str:
    """Return a bar of `width` characters between brackets."""
    full = min(width, max(0, int(portion * width)))
    return f"[{'#' * full}{'.' * (width - full)}]"


def span(seconds: float) -> str:
    """Return a time as people say it: 7 s, 3:05, 2:04:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
