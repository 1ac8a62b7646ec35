"""`make soak SECONDS=600`: a server whose clients come, go, stall and send rubbish; what it holds has to stay flat.

Sixteen clients at a time, each one of the kinds below for a moment, over HTTP and gRPC, on loopback. At the end, with
all of them gone, the server has to hold as many files and tasks as before the first, its memory has to be within a
tenth of what it was at a quarter of the time, no answer may have been a 500, and a good request has to be answered.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gzip
import json
import os
import pathlib
import random
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import grpc
import orjson
import uvloop

from foresail_runtime import app, contract, settings
from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

CLIENTS = 16
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 20.0
GROWTH = 1.10
MODEL = pathlib.Path(__file__).parents[2] / "tests" / "runtime" / "models" / "mlp.onnx"
VALUES = [0.5] * 32
DOCUMENT = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": VALUES}]}
BODY = orjson.dumps(DOCUMENT)
INFER = "/inference.GRPCInferenceService/ModelInfer"


# The server's half, in a process of its own.


async def serve() -> None:
    """Serve the model; print what the process holds for each line on stdin."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.Settings(
            host="127.0.0.1",
            http_port=0,
            grpc_port=0,
            header_timeout_seconds=1.0,
            body_timeout_seconds=1.0,
            keepalive_seconds=2.0,
            connection_seconds=5.0,
            shutdown_seconds=2.0,
            max_body_bytes=100_000,
            download_folder=folder,
        )
        description = contract.ModelDescription(name="m", uri=MODEL.as_uri(), path=str(MODEL))
        made = app.App(chosen, description, lambda _: ready.set())
        running = asyncio.create_task(made.run())
        waiter = asyncio.create_task(ready.wait())
        await asyncio.wait((running, waiter), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            sys.exit(f"the server ended: {made.health.status}")
        print(json.dumps({"http": made.http_port, "grpc": made.grpc_port}), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(held()), flush=True)
        made.stop()
        await running


def held() -> dict[str, int]:
    """Return what this process holds now."""
    words = pathlib.Path("/proc/self/status").read_text().split()
    return {
        "rss_kb": int(words[words.index("VmRSS:") + 1]),
        "files": len(list(pathlib.Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
    }


# The clients' half.


class Crowd:
    """Clients of every kind, and what they were answered."""

    def __init__(self, http: int, rpc: int) -> None:
        self._http = http
        self._rpc = rpc
        self.seen: collections.Counter[str] = collections.Counter()
        self.kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self.good,
            self.pipelined,
            self.gone_in_the_head,
            self.gone_in_the_body,
            self.gone_before_the_answer,
            self.stalled_in_the_head,
            self.stalled_in_the_body,
            self.rubbish,
            self.broken_gzip,
            self.wrong,
            self.too_large,
            self.rpc_good,
            self.rpc_cancelled,
            self.rpc_rubbish,
        )

    async def run(self, until: float, chance: random.Random) -> None:
        """Be one client after the other."""
        while time.monotonic() < until:
            kind = chance.choice(self.kinds)
            self.seen[kind.__name__] += 1
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await kind()
            await asyncio.sleep(chance.random() * PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _connected(self, port: int = 0) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self._http)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _status(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split()[1])
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(length)
        self.seen[f"status {status}"] += 1
        return status

    async def good(self) -> None:
        async with self._connected() as (reader, writer):
            for _ in range(5):
                writer.write(post(BODY))
                if await self._status(reader) != 200:
                    self.seen["good request refused"] += 1

    async def pipelined(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(post(BODY) * 10)
            for _ in range(10):
                await self._status(reader)

    async def gone_in_the_head(self) -> None:
        async with self._connected() as (_, writer):
            writer.write(post(BODY)[:40])

    async def gone_in_the_body(self) -> None:
        async with self._connected() as (_, writer):
            writer.write(post(BODY)[:-20])
            await writer.drain()

    async def gone_before_the_answer(self) -> None:
        async with self._connected() as (_, writer):
            writer.write(post(BODY, "Origin: https://page.test"))
            await writer.drain()

    async def stalled_in_the_head(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(post(BODY)[:40])
            await reader.read()

    async def stalled_in_the_body(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(post(BODY)[:-20])
            await self._status(reader)

    async def rubbish(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(os.urandom(random.randrange(1, 2000)) + b"\r\n\r\n")
            await reader.read()

    async def broken_gzip(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(post(gzip.compress(b"a" * 10_000_000, 1), "Content-Encoding: gzip"))
            await self._status(reader)
            writer.write(post(gzip.compress(BODY)[:-9], "Content-Encoding: gzip"))
            await self._status(reader)

    async def wrong(self) -> None:
        async with self._connected() as (reader, writer):
            body = bytearray(BODY)
            body[random.randrange(len(body))] = random.randrange(256)
            writer.write(post(bytes(body)))
            await self._status(reader)

    async def too_large(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(post(b"x" * 200_000))
            await self._status(reader)

    async def rpc_good(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._rpc}") as channel:
            await self._call(channel)(message(), timeout=PATIENCE_SECONDS)
            self.seen["gRPC OK"] += 1

    async def rpc_cancelled(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._rpc}") as channel:
            calls = [self._call(channel)(message()) for _ in range(5)]
            await asyncio.sleep(random.random() * 0.01)
            for call in calls:
                call.cancel()

    async def rpc_rubbish(self) -> None:
        async with self._connected(self._rpc) as (reader, writer):
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(500))
            await reader.read()

    @staticmethod
    def _call(channel: grpc.aio.Channel) -> Any:
        return channel.unary_unary(
            INFER, oip_pb2.ModelInferRequest.SerializeToString, oip_pb2.ModelInferResponse.FromString
        )


def post(body: bytes, *more: str) -> bytes:
    """Return a request, byte for byte."""
    lines = ["POST /v2/models/m/infer HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


def message() -> oip_pb2.ModelInferRequest:
    made = oip_pb2.ModelInferRequest(model_name="m")
    made.inputs.add(name="input", datatype="FP32", shape=[1, 32]).contents.fp32_contents.extend(VALUES)
    return made


class Server:
    """The server's process, asked what it holds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> dict[str, int]:
        assert self._process.stdout is not None
        text = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_SECONDS)
        found: dict[str, int] = json.loads(text)
        return found

    async def held(self) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return await self.line()

    async def settled(self, before: dict[str, int]) -> dict[str, int]:
        """Return what it holds once it holds no more files and tasks than before, or when patience ends."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            now = await self.held()
            if (now["files"] <= before["files"] and now["tasks"] <= before["tasks"]) or time.monotonic() > end:
                return now
            await asyncio.sleep(0.5)


def judge(
    before: dict[str, int], warm: dict[str, int], after: dict[str, int], seen: collections.Counter[str]
) -> list[str]:
    """Return what is not as it has to be."""
    found = [
        f"{after[what]} {what}, {before[what]} before" for what in ("files", "tasks") if after[what] > before[what]
    ]
    if after["rss_kb"] > warm["rss_kb"] * GROWTH:
        found.append(f"memory grew from {warm['rss_kb']} to {after['rss_kb']} kB")
    found += [f"{what} {count} times" for what, count in seen.items() if what in ("status 500", "good request refused")]
    return found


async def main(seconds: float, seed: int) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.runtime.soak", "--serve"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    server = Server(process)
    try:
        ports = await server.line()
        crowd = Crowd(ports["http"], ports["grpc"])
        await crowd.good()
        await crowd.rpc_good()
        before = await server.settled({"files": 0, "tasks": 0})
        begun = time.monotonic()
        clients = [
            asyncio.create_task(crowd.run(begun + seconds, random.Random(seed + index))) for index in range(CLIENTS)
        ]
        print(f"{'s':>5} {'RSS kB':>8} {'files':>6} {'tasks':>6}")
        samples: list[tuple[float, dict[str, int]]] = []
        while not all(client.done() for client in clients):
            await asyncio.wait(clients, timeout=min(30.0, seconds / 8))
            samples.append((time.monotonic() - begun, await server.held()))
            now = samples[-1][1]
            print(f"{samples[-1][0]:5.0f} {now['rss_kb']:8} {now['files']:6} {now['tasks']:6}", flush=True)
        for client in clients:
            client.result()
        after = await server.settled(before)
        await crowd.good()
        warm = next(one for at, one in samples if at >= seconds / 4)
        print("before", before, "\nafter ", after, "\nseen  ", dict(sorted(crowd.seen.items())))
        problems = judge(before, warm, after, crowd.seen)
        print("\n".join(problems) or f"flat after {seconds:g} s")
        return 1 if problems else 0
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
        if process.returncode is None:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.exit(uvloop.run(serve()) if options.serve else asyncio.run(main(options.seconds, options.seed)))
