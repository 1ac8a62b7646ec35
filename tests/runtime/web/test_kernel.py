"""Connections that go while they are looked at: their protocol is still listed for a turn of the loop."""

from __future__ import annotations

import asyncio
import socket

from foresail_runtime.web import kernel


def test_of_a_connection_that_is_gone_the_kernel_holds_nothing() -> None:
    ours, theirs = socket.socketpair()
    transport = asyncio.Transport({"socket": ours})
    theirs.send(b"abc")
    assert kernel.unread(transport) == 3
    ours.close()
    theirs.close()
    assert kernel.unread(transport) == kernel.untaken(transport) == 0
    assert kernel.unread(asyncio.Transport()) == 0, "a transport of TLS drops it"
