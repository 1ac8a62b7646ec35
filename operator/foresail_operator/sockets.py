"""Sockets in a cluster of IPv4, IPv6 or both: where to listen, how to write an address, and how many there may be."""

from __future__ import annotations

import resource
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


def bracketed(host: str) -> str:
    """Return a host as URLs and Host headers have it: an IPv6 address stands in brackets."""
    return f"[{host}]" if ":" in host else host


def allow_many() -> None:
    """Let this process have as many sockets as its node allows; many a node gives 1,024 unasked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
