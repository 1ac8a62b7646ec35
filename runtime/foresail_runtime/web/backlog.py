"""Closes a listener and keeps the clients that the kernel has let in already.

The kernel makes a connection, and takes its client's first bytes, before the server accepts it. To close the listening
socket resets the connections that wait to be accepted, and what their clients had asked is lost. So they are accepted
first, through a copy of the socket that outlives the listener; and before that, the kernel is told to let in nobody
else, or who comes between the last accept and the close would be reset. A client that it overhears asks again after a
second, as TCP does, and is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_SO_ATTACH_FILTER: Final = 26
"""Of socket(7), which Python does not name; the number is that of x86 and ARM."""
_NO_FIRST_PACKETS: Final = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the flags, the 13th of a TCP header
        (0x54, 0, 0, 0x12),  # of them SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # keep what belongs to a handshake that has begun
    )
)
"""A classic BPF program (linux/filter.h): each instruction a code, two jumps and a value."""


def close(listener: asyncio.Server) -> list[socket.socket]:
    """Close the listener; return the connections that waited, which are now the caller's."""
    copies = [socket.socket(fileno=os.dup(listening.fileno())) for listening in listener.sockets]
    for copy in copies:
        _let_in_nobody(copy)
    listener.close()
    waiting = []
    for copy in copies:
        with copy, contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            copy.setblocking(False)
            while True:
                waiting.append(copy.accept()[0])
    for connection in waiting:
        connection.setblocking(False)
    return waiting


def _let_in_nobody(listening: socket.socket) -> None:
    """Have the kernel overhear whoever wants to connect; where it can't, a few microseconds are left to chance."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_FIRST_PACKETS, len(_NO_FIRST_PACKETS))
    described = struct.pack("@HP", len(_NO_FIRST_PACKETS) // 8, ctypes.addressof(program))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
