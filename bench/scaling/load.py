"""Requests at a pace of our own, however long the answers take: an open loop."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING, Final

import aiohttp

from bench.scaling.stage import BODY

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADERS: Final = {"Content-Type": "application/json"}
CONNECTIONS: Final = 32


async def run(url: str, rate: Callable[[float], float], seconds: float) -> collections.Counter[str]:
    """Ask for so long, `rate(elapsed seconds)` times a second; return how often each outcome came."""
    counts: collections.Counter[str] = collections.Counter()
    connector, timeout = aiohttp.TCPConnector(limit=CONNECTIONS), aiohttp.ClientTimeout(total=30)
    began = due = time.monotonic()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
        while (elapsed := due - began) < seconds:
            group.create_task(_ask(session, url, counts))
            due += 1 / rate(elapsed)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return counts


async def _ask(session: aiohttp.ClientSession, url: str, counts: collections.Counter[str]) -> None:
    try:
        async with session.post(url, data=BODY, headers=_HEADERS) as answer:
            await answer.read()
            counts["ok" if answer.status == 200 else f"HTTP {answer.status}"] += 1
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        counts[f"{type(error).__name__}: {error}"] += 1
