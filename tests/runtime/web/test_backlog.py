"""A listener closes, and nobody who is connected already is reset."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from foresail_runtime.web import backlog, kernel
from tests.runtime import timing
from tests.runtime.authorities import Authority

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

COUNT = 20
SYN_SENT = 2
"""Of linux/tcp_states.h."""


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_waits_to_be_accepted_is_answered_after_the_close_and_the_next_is_refused(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        answers, left = runner.run(close_before_any_is_accepted())
    assert answers == [b"hello"] * COUNT
    assert left == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel can't be told")
def test_who_comes_while_it_closes_is_refused_and_never_let_in_and_then_reset() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    before, within = socket.create_connection(address, timeout=5), socket.socket()
    within.setblocking(False)

    class Listener:
        sockets = (listening,)

        def close(self) -> None:
            listening.close()
            within.connect_ex(address)

    (waiting,) = backlog.close(Listener())  # type: ignore[arg-type]
    assert waiting.getpeername() == before.getsockname()
    assert within.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == SYN_SENT
    select.select([], [within], [], 10)  # until the kernel has asked once more
    assert within.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    for one in (before, waiting, within):
        one.close()


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
async def test_a_server_that_stops_answers_who_was_let_in_already(
    serve: Callable[..., Any], mlp: pathlib.Path, tmp_path: pathlib.Path, secured: bool
) -> None:
    authority = Authority(tmp_path)
    authority.issue()
    server = await serve(mlp, **({"tls_cert": str(authority.cert), "tls_key": str(authority.key)} if secured else {}))
    waiting = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    stopping = asyncio.create_task(server.app._http.stop(2))  # begins before the loop looks whom it may accept
    how: dict[str, Any] = {"ssl": authority.client(), "server_hostname": "127.0.0.1"} if secured else {}
    reader, writer = await asyncio.open_connection(sock=waiting, **how)
    writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in head
    writer.close()
    await stopping


async def test_a_server_that_stops_answers_what_lies_unread_on_an_idle_connection(
    serve: Callable[..., Any], mlp: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foresail_runtime.web.server.LINGER_SECONDS", 0)
    server = await serve(mlp)
    http, passes = server.app._http, 0

    def counted(look: Callable[[], Any] = http._connections) -> Any:
        nonlocal passes
        passes += 1
        return look()

    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await timing.until(lambda: bool(http._connections()))
    (connection,) = http._connections()
    connection.transport.pause_reading()  # the loop is busy elsewhere
    writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    await timing.until(lambda: kernel.unread(connection.transport) > 0)
    monkeypatch.setattr(http, "_connections", counted)
    stopping = asyncio.create_task(http.stop(5))
    await timing.until(lambda: passes >= 3)
    connection.transport.resume_reading()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert (head.startswith(b"HTTP/1.1 200"), b"Connection: close" in head) == (True, True)
    writer.close()
    await stopping


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
