"""Requests at a pace of our own, however long the answers take: an open loop."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import math
import random
import time
from typing import TYPE_CHECKING, Final

import aiohttp

from bench.scaling.stage import BODY

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS: Final = 32


@dataclasses.dataclass
class Seen:
    """What came of the requests."""

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """How often each outcome."""
    answers: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """When each request that was answered well was sent, in monotonic seconds, and how many seconds it took."""


async def run(
    url: str, rate: Callable[[float], float], seconds: float, body: bytes = BODY, kind: str = "application/json"
) -> Seen:
    """Ask for so long, `rate(elapsed seconds)` times a second, with a body of the media type `kind`."""
    seen = Seen()
    headers = {"Content-Type": kind}
    connector, timeout = aiohttp.TCPConnector(limit=CONNECTIONS), aiohttp.ClientTimeout(total=30)
    began = due = time.monotonic()
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
        asyncio.TaskGroup() as group,
    ):
        while (elapsed := due - began) < seconds:
            group.create_task(_ask(session, url, body, seen))
            due += 1 / rate(elapsed)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return seen


def by_chance(per_second: Callable[[float], float], seed: int) -> Callable[[float], float]:
    """Return the rate of requests that come by chance, so many a second on average: a Poisson process."""
    chance = random.Random(seed)
    return lambda elapsed: per_second(elapsed) / max(1e-3, -math.log(1 - chance.random()))  # exponential gaps


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes, seen: Seen) -> None:
    began = time.monotonic()
    try:
        async with session.post(url, data=body) as answer:
            await answer.read()
            if answer.status == 200:
                seen.answers.append((began, time.monotonic() - began))
            seen.counts["ok" if answer.status == 200 else f"HTTP {answer.status}"] += 1
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        seen.counts[f"{type(error).__name__}: {error}"] += 1
