"""What looking at every pod twice a second costs: `python -m bench.scrape [--pods 300 5000] [--loop uvloop|asyncio]`.

Stub pods on loopback, in a process of their own, answer over one connection each. Beside the operator's scraper stand
aiohttp's client doing the same (up to 1,000 pods) and a kept stream on which the pod writes a line, each half second
when busy or each two seconds when idle. CPU is this process's share of one core; the stubs' is not in it. Exits 1 when
the operator's way takes more of a core than its bar, or hears fewer than nine in ten of the answers that it should.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, cast

import aiohttp
import uvloop

from bench.runtime.servers import ENDS_WITH_US
from foresail_operator.scaling import loads, signal
from foresail_operator.scaling.scrape import Pod, Scraper
from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

LINE: Final = contract.Load("ready", 3, 1, 12_345, 456.789, 8, 0.0123).encode().encode()
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: Mon, 23 Nov 2026 07:00:00 GMT\r\nServer: stub\r\n\r\n%s" % (len(LINE), LINE)
)
SETTLE_SECONDS: Final = 3.0
MEASURE_SECONDS: Final = 8.0
MODEL_PODS: Final = 10
"""Pods a model: the samples of all models are combined each half second as well."""
OPERATOR: Final = "poll"
BARS: Final = {300: 0.06, 5000: 1.0}
"""By pods, the most of a core that the operator's way may take."""
LEAST_HEARD: Final = 0.9
"""Of two answers a second from each pod: who hears less has not done the work."""


class Stub(asyncio.Protocol):
    """A pod: answers questions, or writes lines when asked to stream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        if b"?watch=" not in data:
            self.transport.write(ANSWER)
            return
        self.every = float(data.split(b"?watch=")[1].split(b" ")[0])
        self.transport.write(b"HTTP/1.0 200 OK\r\n\r\n")
        asyncio.get_running_loop().call_later(random.random() * self.every, self.push)

    def push(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(LINE + b"\n")
            asyncio.get_running_loop().call_later(self.every, self.push)


class Lines(asyncio.Protocol):
    """The reader's end of a stream."""

    def __init__(self, every: float, read: Callable[[contract.Load], None]) -> None:
        self.every, self.read = every, read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"GET /load?watch=%g HTTP/1.0\r\n\r\n" % self.every)

    def data_received(self, data: bytes) -> None:
        for line in data.split(b"\n"):
            if line.startswith(b"{"):
                self.read(loads.decode(line))


async def poll(pods: int, port: int) -> Callable[[], int]:
    """The operator's own way, the adding up for each model included."""
    scraper = Scraper()
    scraper.watch(Pod(str(index), "127.0.0.1", port) for index in range(pods))
    models = [
        [str(index) for index in range(start, min(start + MODEL_PODS, pods))] for start in range(0, pods, MODEL_PODS)
    ]

    async def combine() -> None:
        while True:
            now = asyncio.get_running_loop().time()
            for keys in models:
                signal.combine(scraper.rates(keys), now)
            await asyncio.sleep(0.5)

    _keep(scraper.run(), combine())
    return lambda: scraper.answers


async def library(pods: int, port: int) -> Callable[[], int]:
    """The same with aiohttp's client."""
    session, count = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)), 0

    async def one() -> None:
        nonlocal count
        async with session.get(f"http://127.0.0.1:{port}/load") as answer:
            loads.decode(await answer.read())
            count += 1

    async def each() -> None:
        while True:
            due = time.monotonic() + 0.5
            await asyncio.gather(*(one() for _ in range(pods)))
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    _keep(each())
    return lambda: count


async def stream(pods: int, port: int, every: float) -> Callable[[], int]:
    """A line from the pod every so often, and no questions."""
    count, rates = 0, dict[int, signal.PodRate]()

    def reader(index: int) -> Callable[[contract.Load], None]:
        def read(load: contract.Load) -> None:
            nonlocal count
            count += 1
            rates[index] = signal.compare(load, load, 0.5, time.monotonic())

        return read

    for index in range(pods):
        await asyncio.get_running_loop().create_connection(lambda i=index: Lines(every, reader(i)), "127.0.0.1", port)  # type: ignore[misc]
    return lambda: count


async def measure(name: str, pods: int, start: Callable[[], Awaitable[Callable[[], int]]]) -> None:
    """Let it settle, then print answers a second and the CPU they cost."""
    answers = await start()
    await asyncio.sleep(SETTLE_SECONDS + pods / 1000)
    cpu, at, before = time.process_time(), time.monotonic(), answers()
    await asyncio.sleep(MEASURE_SECONDS)
    passed = time.monotonic() - at
    heard, share = (answers() - before) / passed, (time.process_time() - cpu) / passed
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    held = name == OPERATOR and pods in BARS
    missed = held and (share > BARS[pods] or heard < LEAST_HEARD * 2 * pods)
    print(
        f"{name:14} {pods:5} pods {heard:7.0f} answers/s {share:6.1%} of a core, {memory:4.0f} MiB",
        *([f"(bar {BARS[pods]:.0%}{': MISSED' if missed else ''})"] if held else []),
        flush=True,
    )
    os._exit(missed)  # thousands of connections close fastest with their process


async def serve(port: int) -> None:
    """Be all the stub pods, until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port, backlog=4096)
    print("listening", flush=True)
    await server.serve_forever()


def main() -> None:
    """Measure each way in a fresh process, the stubs in another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, nargs="*", default=[300, 5000])
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--port", type=int, default=18_765)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    run = uvloop.run if options.loop == "uvloop" else asyncio.run
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 20_000), hard), hard))
    if options.only == "stubs":
        run(serve(options.port))
    elif options.only:
        run(measure(options.only, options.pods[0], _ways(options.pods[0], options.port)[options.only]))
    else:
        missed = [pods for pods in options.pods if _each_way(pods, options.loop, options.port)]
        sys.exit(bool(missed))


def _ways(pods: int, port: int) -> dict[str, Callable[[], Awaitable[Callable[[], int]]]]:
    return {
        OPERATOR: lambda: poll(pods, port),
        "stream, busy": lambda: stream(pods, port, 0.5),
        "stream, idle": lambda: stream(pods, port, 2.0),
        "aiohttp client": lambda: library(pods, port),
    }


def _each_way(pods: int, loop: str, port: int) -> bool:
    """Measure each way; return whether a bar was missed."""
    missed = False
    again = [
        *ENDS_WITH_US,
        sys.executable,
        "-m",
        "bench.scrape",
        "--loop",
        loop,
        "--port",
        str(port),
        "--pods",
        str(pods),
        "--only",
    ]
    for name in _ways(pods, port):
        if name.startswith("aiohttp") and pods > 1000:
            continue
        with subprocess.Popen([*again, "stubs"], stdout=subprocess.PIPE) as stubs:
            try:
                assert stubs.stdout is not None
                stubs.stdout.readline()
                missed |= subprocess.run([*again, name], check=False, timeout=120).returncode != 0
            finally:
                stubs.kill()
    return missed


_TASKS: Final = set[asyncio.Task[None]]()


def _keep(*coroutines: Coroutine[None, None, None]) -> None:
    _TASKS.update(asyncio.create_task(coroutine) for coroutine in coroutines)


if __name__ == "__main__":
    main()
