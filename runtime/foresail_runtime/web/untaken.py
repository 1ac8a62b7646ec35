"""How long a client has taken nothing of what is sent to it."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Untaken:
    """What was left of one connection's answers when that was last seen to change, and when."""

    __slots__ = ("_left", "_moved")

    def __init__(self, now: float) -> None:
        self._left = 0
        self._moved = now

    def since(self, transport: asyncio.Transport, now: float) -> float:
        """Return for how many seconds nothing was taken, as far as was looked; 0 where nothing is left."""
        left = _bytes(transport)
        if left == 0 or left != self._left:
            self._left, self._moved = left, now
        return now - self._moved


def _bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes are left in our memory; of TLS, whose transports don't tell, those in the kernel's, too."""
    left = transport.get_write_buffer_size()
    if transport.get_extra_info("sslcontext") is not None:
        size = bytearray(4)
        with contextlib.suppress(OSError):  # gone in this moment
            fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, size)
        left += int.from_bytes(size, sys.byteorder)
    return left
