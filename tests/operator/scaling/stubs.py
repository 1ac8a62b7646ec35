"""Pods on loopback that say what they are told to."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from foresail_runtime.contract import Load

if TYPE_CHECKING:
    import ssl


class StubPod:
    """A pod that holds `in_flight` requests, and says so when it speaks."""

    def __init__(self, in_flight: int = 0, answer: bytes | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.in_flight = in_flight
        self.queued = 0
        self.refused_per_second = 0.0
        self.answer = answer
        self.batch_size: int | None = None
        self.batch_seconds: float | None = None
        self.silent = False
        self.questions: list[bytes] = []
        self.connections: list[asyncio.Transport] = []
        self.server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: StubConnection(self), "127.0.0.1", port, ssl=self.tls)
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for transport in self.connections:
            transport.abort()
        await self.server.wait_closed()

    def says(self) -> bytes:
        if self.answer is not None:
            return self.answer
        carried = self.in_flight * time.monotonic()
        refused = round(self.refused_per_second * time.monotonic())
        load = Load(
            "ready", self.in_flight, self.queued, len(self.questions) + refused, carried, self.batch_size,
            self.batch_seconds, refused=refused,
        )  # fmt: skip
        body = load.encode().encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class StubConnection(asyncio.Protocol):
    def __init__(self, pod: StubPod) -> None:
        self.pod = pod

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.pod.connections.append(transport)

    def data_received(self, data: bytes) -> None:
        self.pod.questions.append(data)
        if not self.pod.silent:
            self.transport.write(self.pod.says())
