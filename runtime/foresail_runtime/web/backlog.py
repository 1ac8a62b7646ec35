"""Closes a listener and keeps the clients that the kernel has let in already.

The kernel makes a connection, and takes its client's first bytes, before the server accepts it. To close the listening
socket resets the connections that wait to be accepted, and what their clients had asked is lost. So they are accepted
first, through a copy of the socket that outlives the listener. Only a client that comes between the last accept and the
close after it, a few microseconds, is still reset.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def close(listener: asyncio.Server) -> list[socket.socket]:
    """Close the listener; return the connections that waited, which are now the caller's."""
    copies = [socket.socket(fileno=os.dup(listening.fileno())) for listening in listener.sockets]
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
