"""Lines that come by the ten thousand a second: gathered where they are made, written by a thread in one piece.

To write is a system call and may block, where a pipe is full; so it happens on a thread of its own, ten times a second.
A line is therefore on its way for a tenth of a second at most, and what a process that crashes had gathered is lost;
one that ends in good order closes, which writes all of it. What is gathered is bounded: over the bound, whoever adds a
line writes what there is, and waits as long as that takes.
"""

from __future__ import annotations

import collections
import contextlib
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_SECONDS: Final = 0.1
MOST_LINES: Final = 20_000
"""About 5 MB."""


class Lines:
    """`add` belongs to one thread, `flush` and `close` to any."""

    def __init__(self, write: Callable[[bytes], object], pause_seconds: float = PAUSE_SECONDS) -> None:
        """Hand what gathers to `write`, which may block; a failure of it loses the lines and nothing else."""
        self._write = write
        self._pause_seconds = pause_seconds
        self._gathered: collections.deque[str] = collections.deque()
        self._due = threading.Event()
        self._closed = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, line: str) -> None:
        """Let a line, with its end, be written soon."""
        self._gathered.append(line)
        if not self._due.is_set():
            self._due.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
                self._thread.start()
        elif len(self._gathered) > MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        with self._writing, contextlib.suppress(OSError, ValueError):  # nobody reads, or the stream is closed
            gathered = self._gathered
            # A deque, since a line that is added meanwhile has to stay: taken are those that are there now.
            text = "".join([gathered.popleft() for _ in range(len(gathered))])
            if text:
                self._write(text.encode(errors="replace"))

    def close(self) -> None:
        """Write what has gathered, and end the thread."""
        self._closed.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(10 * self._pause_seconds)
        self.flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._due.wait()
            self._closed.wait(self._pause_seconds)
            self._due.clear()
            self.flush()
