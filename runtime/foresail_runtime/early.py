"""A socket that listens before the server does.

The kubelet probes once a second: a probe that is refused while Python still imports costs up to a second more. One that
finds this socket waits in its queue, and is answered as soon as the server takes it over.
"""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 1024


def listen(host: str, port: int) -> socket.socket | None:
    """Listen at once; None where that can't be: the server then tries itself, and says why.

    No host means every address, of IPv4 and IPv6 where there are both: a cluster may have either.
    """
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        return None
