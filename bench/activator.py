"""What the activator costs: memory for a connection that waits, and time for a request that passes through it.

Everything is on loopback, in this process and a child: `.venv/bin/python -m bench.activator`, on a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import pathlib
import statistics
import time
from typing import TYPE_CHECKING, cast

import uvloop

from foresail_activator.directory import Directory
from foresail_activator.hold import House
from foresail_activator.limits import Held, Limits
from foresail_activator.listeners import Listeners
from foresail_activator.metrics import Metrics
from foresail_operator.desired import activator

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PORT = activator.port(9000, "http")
REPLICA = 18990
SECONDS = 30.0
"""How long anything here is waited for."""
REQUEST = b"GET / HTTP/1.1\r\nHost: model\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def slice_of(uid: str, port: int, *, ours: bool) -> dict[str, object]:
    labels = {activator.SERVICE_NAME_LABEL: "model"}
    labels |= {activator.SLICE_MANAGED_BY_LABEL: activator.SLICE_MANAGED_BY} if ours else {}
    ready = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
    metadata = {"uid": uid, "namespace": "bench", "labels": labels}
    return {"metadata": metadata, "ports": [{"name": "http", "port": port}], "endpoints": ready}


def resident_kibibytes() -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


async def hold(pipe: Connection) -> None:
    """Run the data plane; answer each word on the pipe with the memory in use, and be ready once told."""
    held = Held()
    house = House(Limits(held=50_000, held_of_a_model=50_000, unanswered_a_pod=50_000), held, Metrics(held))
    listeners = Listeners(Directory(), house, lambda _: None, "127.0.0.1")
    listeners.sink(None, "ADDED", slice_of("ours", PORT, ours=True))
    await listeners.settle()
    pipe.send(resident_kibibytes())
    while (word := await asyncio.to_thread(pipe.recv)) != "end":
        if word == "ready":
            listeners.sink(None, "ADDED", slice_of("theirs", REPLICA, ours=False))
        pipe.send((held.requests, resident_kibibytes()))


class Replica(asyncio.Protocol):
    """Answers like the smallest of models."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, _: bytes) -> None:
        self.transport.write(ANSWER)


async def ask(port: int, count: int) -> list[float]:
    """Return the seconds that requests took, one after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        writer.write(REQUEST)
        await reader.readexactly(len(ANSWER))
        took.append(time.perf_counter() - began)
    writer.close()
    return took


async def measure(pipe: Connection, connections: int, requests: int) -> None:
    empty: int = pipe.recv()
    waiting = [await asyncio.open_connection("127.0.0.1", PORT) for _ in range(connections)]
    for _, writer in waiting:
        writer.write(REQUEST)
    held, full = 0, empty
    deadline = time.monotonic() + SECONDS
    while held < connections and time.monotonic() < deadline:
        pipe.send("look")
        held, full = pipe.recv()
    if held < connections:
        raise SystemExit(f"only {held} of {connections} connections are held after {SECONDS:g} s")
    print(f"{held} held connections: {(full - empty) / held:.2f} KiB each (process {full / 1024:.0f} MiB)")
    server = await asyncio.get_running_loop().create_server(Replica, "127.0.0.1", REPLICA, backlog=4096)
    began = time.perf_counter()
    pipe.send("ready")
    pipe.recv()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(reader.readexactly(len(ANSWER)) for reader, _ in waiting))
    print(f"all of them answered {time.perf_counter() - began:.2f} s after a replica was ready")
    for _, writer in waiting:
        writer.close()
    async with asyncio.timeout(SECONDS):
        await ask(PORT, requests)  # both are warm before the first is timed
        direct, spliced = await ask(REPLICA, requests), await ask(PORT, requests)
    added = (statistics.median(spliced) - statistics.median(direct)) * 1e6
    print(f"a request: p50 {statistics.median(direct) * 1e6:.0f} µs direct, {added:+.0f} µs through the activator")
    pipe.send("end")
    server.close()


def holder(pipe: Connection) -> None:
    """Be the activator's process."""
    uvloop.run(hold(pipe))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=2000)
    wish = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=holder, args=(theirs,))
    process.start()
    theirs.close()  # so that it hears of our end
    try:
        uvloop.run(measure(ours, wish.connections, wish.requests))
    finally:
        process.join(5)
        process.kill()


if __name__ == "__main__":
    main()
