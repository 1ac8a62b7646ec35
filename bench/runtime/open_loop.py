"""Open-loop load: requests leave when they are due, however long the answers of others take."""

from __future__ import annotations

import asyncio
import collections
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Times = npt.NDArray[np.float64]

_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)")
PATIENCE_SECONDS: Final = 120.0


class Seen(NamedTuple):
    """One entry a request, in the order they were sent; times in seconds."""

    sent: Times
    """Since the first was due."""
    took: Times
    status: npt.NDArray[np.int64]
    """0: the connection broke, or nothing came."""

    def rate(self, status: int) -> float:
        """Return answers of a status a second, as they came."""
        ended = (self.sent + self.took)[self.status == status]
        return len(ended) / max(1e-9, float(ended.max() - ended.min())) if len(ended) > 1 else 0.0

    def percentile(self, percent: float, status: int = 200) -> float:
        """Return a percentile of the milliseconds that answers of a status took."""
        took = self.took[self.status == status]
        return float(np.percentile(took, percent)) * 1000 if len(took) else float("nan")


class _Client(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._number = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, number: int, data: bytes) -> None:
        self._number, self._buffer = number, b""
        self._load.sent[number] = time.perf_counter()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        if not end or found is None or len(body) < int(found[1]):
            return
        number, self._number = self._number, -1
        self._load.answered(number, int(head[9:12]), None if b"onnection: close" in head else self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._load.lost(self, self._number)


class Load:
    """Requests of one kind to one server."""

    def __init__(self, port: int, data: bytes) -> None:
        self._port = port
        self._data = data
        self._idle: collections.deque[_Client] = collections.deque()
        self._left = 0
        self._done = asyncio.Event()
        self._opening: set[asyncio.Task[Any]] = set()

    async def run(self, due: Times) -> Seen:
        """Send each request when it is due (seconds from now, ascending) and return what became of them."""
        self.sent = np.zeros(len(due))
        self.took = np.full(len(due), np.nan)
        self.status = np.zeros(len(due), np.int64)
        self._left = len(due)
        loop = asyncio.get_running_loop()
        begun = time.perf_counter()
        for number, moment in enumerate(due):
            if (rest := begun + moment - time.perf_counter()) > 0:
                await asyncio.sleep(rest)
            self.sent[number] = time.perf_counter()
            if self._idle:
                self._idle.pop().send(number, self._data)
            else:
                task = loop.create_task(self._open(number))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._done.wait()
        return Seen(self.sent - begun, self.took, self.status)

    async def _open(self, number: int) -> None:
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: _Client(self), "127.0.0.1", self._port
            )
        except OSError:
            self.answered(number, 0, None)
        else:
            client.send(number, self._data)

    def answered(self, number: int, status: int, client: _Client | None) -> None:
        if number >= 0:
            self.took[number] = time.perf_counter() - self.sent[number]
            self.status[number] = status
            self._left -= 1
            if not self._left:
                self._done.set()
        if client is not None:
            self._idle.append(client)

    def lost(self, client: _Client, number: int) -> None:
        if client in self._idle:
            self._idle.remove(client)
        if number >= 0:
            self.answered(number, 0, None)


def send(port: int, data: bytes, due: Times) -> Seen:
    """Run a load on a loop of its own."""

    async def run() -> Seen:
        return await Load(port, data).run(due)

    return asyncio.run(run())


def evenly(rate: float, seconds: float) -> Times:
    """Return the moments of a steady stream."""
    return np.arange(round(rate * seconds)) / rate


def poisson(rate: float, count: int) -> Times:
    """Return the moments of arrivals that know nothing of each other."""
    return np.cumsum(np.random.default_rng(1).exponential(1 / rate, count))
