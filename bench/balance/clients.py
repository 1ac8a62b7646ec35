"""Clients with kept connections, over HTTP/1.1 and gRPC."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

import grpc

from bench.balance.deployed import MODEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CONNECTIONS: Final = 64
PAUSE_SECONDS: Final = 0.1
"""Between an answer and a client's next request in the runs that only look at evenness."""
_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"


def request(*inputs: dict[str, Any]) -> bytes:
    """Return an infer request with these inputs, as it goes over the wire."""
    data = json.dumps({"inputs": inputs}).encode()
    head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: {MODEL}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


class Clients:
    """Kept connections that ask again and again, or when they are told to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.failures: collections.Counter[str] = collections.Counter()
        self.answered = 0

    async def http(self, when: Callable[[], float], latencies: list[float], what: Callable[[], bytes]) -> None:
        """Ask over HTTP/1.1 on a connection of its own; `when` gives the time of the next request, `what` its bytes."""
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        try:
            while True:
                due = when()
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due = due or time.perf_counter()
                try:
                    if reader is None or writer is None:
                        reader, writer = await asyncio.open_connection(self.address, 80)
                    writer.write(what())
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.failures[repr(error)] += 1
                    reader = writer = None
                    continue
                if head.startswith(b"http/1.1 200"):
                    latencies.append(time.perf_counter() - due)
                    self.answered += 1
                else:
                    self.failures[head.partition(b"\r\n")[0].decode()] += 1
                if b"connection: close" in head:
                    writer.close()
                    reader = writer = None
        finally:
            if writer is not None:
                writer.close()

    async def grpc(self, data: bytes) -> None:
        """Ask over gRPC on a channel of its own, each time after a pause."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"{self.address}:8081", options) as channel:
            infer = channel.unary_unary(_METHOD)
            while True:
                try:
                    await infer(data, timeout=30)
                    self.answered += 1
                except grpc.aio.AioRpcError as error:
                    self.failures[f"{error.code()}: {error.details()}"] += 1
                await asyncio.sleep(PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def running(tasks: list[asyncio.Task[None]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise done
