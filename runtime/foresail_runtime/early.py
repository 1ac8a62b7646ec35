"""A socket that listens before the server does.

The kubelet probes once a second: a probe that is refused while Python still imports costs up to a second more. One that
finds this socket waits in its queue, and is answered as soon as the server takes it over.
"""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 1024


def listen(host: str, port: int) -> socket.socket | None:
    """Listen at once; None where that can't be: the server then tries itself, and says why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        return None
