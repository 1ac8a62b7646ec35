"""How many bytes the kernel holds of a connection, in either direction."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def unread(transport: asyncio.Transport) -> int:
    """Return how many have come and are yet to be read; a connection closed over them is reset, and they are lost."""
    return _ask(transport, termios.FIONREAD)


def untaken(transport: asyncio.Transport) -> int:
    """Return how many the client has yet to take."""
    return _ask(transport, termios.TIOCOUTQ)


def _ask(transport: asyncio.Transport, request: int) -> int:
    """Return the answer, 0 of a connection that is gone: a turn of the loop passes before its protocol hears of it."""
    size = bytearray(4)
    wire = transport.get_extra_info("socket")
    if wire is not None and wire.fileno() >= 0:
        with contextlib.suppress(OSError):  # asyncio says -1 of what is closed, uvloop the number it had
            fcntl.ioctl(wire.fileno(), request, size)
    return int.from_bytes(size, sys.byteorder)
