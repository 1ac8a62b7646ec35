"""Whether a client has sent what the loop has yet to read."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def anything(transport: asyncio.Transport) -> bool:
    """Tell whether the kernel holds bytes of the client; a connection closed over them is reset, and they are lost."""
    size = bytearray(4)
    with contextlib.suppress(OSError):  # gone in this moment
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, size)
    return int.from_bytes(size, sys.byteorder) > 0
