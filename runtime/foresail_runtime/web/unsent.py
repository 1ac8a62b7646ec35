"""Large answers that are written and not yet sent: they count in the room of all requests until the last byte has gone.

A transport takes whatever is written to it, and keeps the whole of an answer until the client has taken its end. So
clients that read slowly, or not at all, would have a server hold as many answers as they have connections.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foresail_runtime import logs
from foresail_runtime.web import kernel

if TYPE_CHECKING:
    import asyncio

    from foresail_runtime.room import Room

log = logging.getLogger(__name__)

LARGE: Final = 64 * 1024
"""Answers of more bytes count; as many bytes as a transport holds before it asks to be written no more."""
LEAST_BYTES_A_SECOND: Final = 64 * 1024
"""Who takes an answer more slowly, after the time there is for a body, is cut off."""
FIRST_LOOK_SECONDS: Final = 0.001
LAST_LOOK_SECONDS: Final = 0.25
"""Looks are twice as far apart each time, up to this: what was sent counts at most so long, or twice its time."""


class Unsent:
    """What one connection holds of them; used on its event loop."""

    __slots__ = (
        "_address",
        "_empty",
        "_loop",
        "_pause",
        "_room",
        "_seconds",
        "_size",
        "_timer",
        "_transport",
        "_until",
    )

    def __init__(
        self,
        room: Room,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        address: str | None,
    ) -> None:
        """Take how many seconds an answer may take before its rate counts."""
        self._room = room
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._address = address
        self._size = 0
        self._until = 0.0
        self._pause = FIRST_LOOK_SECONDS
        self._empty = False
        """Nothing was left at the last look."""
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, size: int) -> None:
        """Hold so many bytes more from now on; they are written in this turn of the loop."""
        self._size += size
        self._room.held += size
        self._until = self._loop.time() + self._seconds + self._size / LEAST_BYTES_A_SECOND
        if self._timer is not None:
            self._timer.cancel()
        self._empty = False
        self._pause = FIRST_LOOK_SECONDS
        self._timer = self._loop.call_later(self._pause, self._look)

    def release(self) -> None:
        """Hold nothing: all was sent, or the connection is gone."""
        self._room.held -= self._size
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._is_sent():
            self.release()
            return
        if self._loop.time() > self._until:
            log.info("a client takes its answer too slowly", extra=logs.fields(client=self._address))
            self._transport.abort()  # whose connection hears that it is lost, and releases this
            return
        self._pause = min(self._pause * 2, LAST_LOOK_SECONDS)
        self._timer = self._loop.call_later(self._pause, self._look)

    def _is_sent(self) -> bool:
        """Whether nothing is left.

        A transport of TLS tells nothing of what lies below it. The kernel does; it may have sent all that it had
        just before it is given more, so it is asked twice.
        """
        if self._transport.get_write_buffer_size():
            return False
        if self._transport.get_extra_info("sslcontext") is None:
            return True
        before, self._empty = self._empty, kernel.untaken(self._transport) == 0
        return before and self._empty
