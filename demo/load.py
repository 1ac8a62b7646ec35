"""Bounded load on one model: pictures at a steady rate for a while, counted each second."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Final

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS_A_CONNECTION: Final = 5
"""kube-proxy spreads connections, not requests: a connection is given up now and then so that new replicas see some."""
MOST_IN_FLIGHT: Final = 12
"""Beyond this the sender waits: the load never grows without bound when the servers are slow.

Three replicas' worth, at four requests each: as many as the demo's model may have.
"""


@dataclasses.dataclass(slots=True)
class Counts:
    """What came of the requests so far."""

    sent: int = 0
    answered: int = 0
    failures: dict[str, int] = dataclasses.field(default_factory=dict)
    latencies: list[float] = dataclasses.field(default_factory=list)

    def fail(self, why: str) -> None:
        """Count a request that was not answered 200."""
        self.failures[why] = self.failures.get(why, 0) + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """Where to, what and how fast."""

    url: str
    body: bytes
    content_type: str
    rate: Callable[[float], float]
    """Requests a second at that many seconds from the start."""
    most_seconds: float


async def drive(wish: Wish, counts: Counts, stop: asyncio.Event) -> None:
    """Send until `stop` is set or the time is over; returns when every request has its answer."""
    began = time.monotonic()
    room = asyncio.Semaphore(MOST_IN_FLIGHT)
    connector = aiohttp.TCPConnector(limit=MOST_IN_FLIGHT)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
        due = began
        while not stop.is_set() and (elapsed := time.monotonic() - began) < wish.most_seconds:
            due = max(due + 1 / wish.rate(elapsed), time.monotonic() - 1)
            if await _stopped_until(stop, due):
                break
            await room.acquire()
            group.create_task(_send(session, wish, counts, room))


async def _stopped_until(stop: asyncio.Event, due: float) -> bool:
    """Wait until `due`; True if it was told to stop before."""
    try:
        await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
    except TimeoutError:
        return False
    return True


async def _send(session: aiohttp.ClientSession, wish: Wish, counts: Counts, room: asyncio.Semaphore) -> None:
    counts.sent += 1
    headers = {"Content-Type": wish.content_type}
    if counts.sent % REQUESTS_A_CONNECTION == 0:
        headers["Connection"] = "close"
    began = time.monotonic()
    try:
        async with session.post(wish.url, data=wish.body, headers=headers) as answer:
            await answer.read()
            if answer.status == 200:
                counts.answered += 1
                counts.latencies.append(time.monotonic() - began)
            else:
                counts.fail(f"HTTP {answer.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        counts.fail(type(error).__name__)
    finally:
        room.release()
