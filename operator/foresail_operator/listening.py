"""Sockets that listen: on one address, or on every one of a pod, whose cluster may have IPv4, IPv6 or both."""

from __future__ import annotations

import socket
from typing import Final

EVERYWHERE: Final = ""
"""The host that means every address, of both families where there are both."""


def listen(host: str, port: int, backlog: int = 128) -> socket.socket:
    """Return a socket that listens; 0 for any free port.

    Raises:
        OSError: The address can't be had.
    """
    if host == EVERYWHERE:
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
        except (OSError, ValueError):  # a kernel without IPv6; else the next line fails as well, and says why
            return socket.create_server(("", port), backlog=backlog)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=backlog)
