"""Clients that ask and do not take their answer: given up after a time, unlike those who take it slowly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import orjson
import pytest

from foresail_runtime.grpc import connections
from tests.runtime.authorities import Authority
from tests.runtime.conftest import FLOAT, save_model
from tests.runtime.timing import until

if TYPE_CHECKING:
    import pathlib
    import ssl
    from collections.abc import AsyncIterator, Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

PATIENCE_SECONDS = 10.0
TIMES = 4_000_000
"""What a number of the request becomes in the answer: 16 MB, more than the kernel takes off our hands."""
WAYS = {"short": "X-Way: short", "long": "Origin: http://x"}
"""A header that has a request go that way."""

OPEN: list[asyncio.StreamWriter] = []


@pytest.fixture
def long_answers(tmp_path: pathlib.Path) -> pathlib.Path:
    """A model whose answer is as many times its input."""
    times = onnx.numpy_helper.from_array(np.array([1, TIMES]), "times")
    nodes = [
        onnx.helper.make_node("Constant", [], ["times"], value=times),
        onnx.helper.make_node("Tile", ["x", "times"], ["y"]),
    ]
    return save_model(tmp_path / "long.onnx", nodes, {"x": (FLOAT, [1, 1])}, {"y": (FLOAT, [1, TIMES])})


def request(way: str) -> bytes:
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.5]}
    body = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    lines = ["POST /v2/models/m/infer HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", WAYS[way], "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture(autouse=True)
async def hang_up() -> AsyncIterator[None]:
    yield
    while OPEN:
        writer = OPEN.pop()
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(server: Server, data: bytes, context: ssl.SSLContext | None = None) -> asyncio.StreamReader:
    """Send a request from a client that takes little at a time."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", server.port))
    name = None if context is None else "localhost"
    reader, writer = await asyncio.open_connection(sock=client, ssl=context, server_hostname=name, limit=1024)
    OPEN.append(writer)
    writer.write(data)
    return reader


def certified(folder: pathlib.Path) -> tuple[dict[str, str], ssl.SSLContext]:
    """Return the settings of a server with a certificate, and the context of clients that trust it."""
    authority = Authority(folder)
    authority.issue()
    return {"tls_cert": str(authority.cert), "tls_key": str(authority.key)}, authority.client()


def under_way(server: Server) -> bool:
    return any(connection._untaken._left for connection in server.app._http._connections())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
async def test_a_client_that_takes_nothing_of_its_answer_is_given_up(
    serve: Start, long_answers: pathlib.Path, tmp_path: pathlib.Path, way: str, secured: bool
) -> None:
    chosen, context = certified(tmp_path) if secured else ({}, None)
    server = await serve(long_answers, body_timeout_seconds=0.3, **chosen)
    await ask(server, request(way), context)
    await until(lambda: under_way(server))
    await until(lambda: connections.count(server.port) == 0)
    assert server.app.serving.in_flight == 0


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(
    serve: Start, long_answers: pathlib.Path, way: str
) -> None:
    server = await serve(long_answers, body_timeout_seconds=0.3)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    reader = await ask(server, request(way))
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        while loop.time() - begun < 1.0:  # so little that the kernel asks us for no more in all that time
            left -= len(await reader.readexactly(1000))
            await asyncio.sleep(0.01)
        await reader.readexactly(left)
    assert loop.time() - begun > 0.9, "it was slower than the time that a client may take nothing"


async def test_a_client_that_asks_on_and_takes_nothing_is_given_up(serve: Start, long_answers: pathlib.Path) -> None:
    server = await serve(long_answers, body_timeout_seconds=0.3)
    await ask(server, request("short") * 50)
    await until(lambda: under_way(server))
    await until(lambda: connections.count(server.port) == 0)


async def test_a_stop_waits_for_such_a_client_no_longer_than_its_grace(
    serve: Start, long_answers: pathlib.Path
) -> None:
    server = await serve(long_answers, body_timeout_seconds=60.0, shutdown_seconds=0.2, header_timeout_seconds=0.05)
    await ask(server, request("short"))
    await until(lambda: under_way(server))
    server.app.stop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asyncio.shield(server.task) == 0
    assert connections.count(server.port) == 0
