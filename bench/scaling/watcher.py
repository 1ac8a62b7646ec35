"""Looks at something again and again beside what is measured."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Seen = TypeVar("Seen")


class Watcher(Generic[Seen]):
    """Looks while the block runs, and keeps what it sees."""

    def __init__(self, look: Callable[[], Seen], pause_seconds: float) -> None:
        self._look = look
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.seen: list[Seen] = []

    def __enter__(self) -> Watcher[Seen]:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause_seconds):
            self.seen.append(self._look())
