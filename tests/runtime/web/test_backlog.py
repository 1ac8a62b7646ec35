"""A listener closes, and nobody who is connected already is reset."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from foresail_runtime.web import backlog

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 20


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_waits_to_be_accepted_is_answered_after_the_close_and_the_next_is_refused(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        answers, left = runner.run(close_before_any_is_accepted())
    assert answers == [b"hello"] * COUNT
    assert left == 0


async def close_before_any_is_accepted() -> tuple[list[bytes], int]:
    """Return what each client was answered, and how many the listener's own loop accepted."""
    accepted: list[Echo] = []

    def echo() -> Echo:
        accepted.append(Echo())
        return accepted[-1]

    running = asyncio.get_running_loop()
    listener = await running.create_server(echo, "127.0.0.1", 0)
    address = listener.sockets[0].getsockname()
    clients = [socket.create_connection(address, timeout=5) for _ in range(COUNT)]  # the loop stands still meanwhile
    for client in clients:
        client.sendall(b"hello")
    waiting = backlog.close(listener)
    left = len(accepted)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    for connection in waiting:
        await running.connect_accepted_socket(echo, connection)
    return [await asyncio.to_thread(read, client) for client in clients], left


def read(client: socket.socket) -> bytes:
    with client:
        return client.recv(100)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()
