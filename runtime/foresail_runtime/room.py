"""How many bytes requests may hold together: an account that refuses what does not fit, and one that lets it wait."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL: Final = "other requests fill the memory there is for them: try again"
"""Why one that would have fitted alone is refused."""


class Room:
    """Of the bodies that are there at a time; used on one thread. Who comes when it is full is refused."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[Place]:
        """Hold so many bytes while the block runs.

        Raises:
            QueueFull: They don't fit. One body that is larger than all may be together is let through where nothing
                else is held, to be told its own limit.
        """
        place = Place(self)
        place.resize(size)
        try:
            yield place
        finally:
            self.held -= place.size

    def check(self, more: int) -> None:
        """Raise QueueFull where so many more do not fit."""
        if self.held and self.held + more > self._limit:
            raise errors.QueueFull(FULL)


class Place:
    """What one request holds."""

    __slots__ = ("_room", "size")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.size = 0

    def resize(self, size: int) -> None:
        """Hold so many bytes from now on; raises as `taken` does, and then holds what it did."""
        others = self._room.held - self.size
        if size > self.size and others:
            self._room.check(size - self.size)
        self._room.held = others + size
        self.size = size


class Budget:
    """Of what is worked on by several threads; who comes when it is full waits for the others."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._freed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold so many bytes while the block runs; more than there are alone are let through one at a time."""
        with self._freed:
            self._freed.wait_for(lambda: not self._used or self._used + size <= self._limit)
            self._used += size
        try:
            yield
        finally:
            with self._freed:
                self._used -= size
                self._freed.notify_all()
