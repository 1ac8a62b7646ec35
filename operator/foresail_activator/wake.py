"""Asks for a replica: writes the model's name into one ConfigMap, which the operator watches.

The right to change this one object is all that waking takes (docs/decisions/0013). Names that come while a write is
under way go together in the next one, and a name is written again only after a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foresail_activator.directory import Door, Service
    from foresail_activator.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)
AGAIN_SECONDS: Final = 2.0
"""A name is not written again sooner; who still waits then is told of again, so no lost wish stays lost."""
PAUSE_SECONDS: Final = 0.2
"""After a write that was not taken; each further one doubles it."""
LONGEST_PAUSE_SECONDS: Final = 5.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


class Waker:
    """Writes wishes; see the module."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        path: str,
        metrics: Metrics,
        now: Callable[[], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._path = path
        self._metrics = metrics
        self._now = now
        self._sleep = sleep
        self._wanted: set[Service] = set()
        self._written: dict[Service, float] = {}
        self._event = asyncio.Event()

    def wake(self, door: Door) -> None:
        """Ask for a replica of a model."""
        if time.monotonic() - self._written.get(door.service, float("-inf")) >= AGAIN_SECONDS:
            self._wanted.add(door.service)
            self._event.set()

    async def run(self) -> None:
        """Write what is wanted until cancelled."""
        pause_seconds = PAUSE_SECONDS
        while True:
            await self._event.wait()
            self._event.clear()
            wanted, self._wanted = self._wanted, set()
            if await self._write(wanted):
                pause_seconds = PAUSE_SECONDS
                continue
            self._wanted |= wanted
            self._event.set()
            await self._sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _write(self, services: set[Service]) -> bool:
        """Write them all at once; return whether the API server took it."""
        now = time.monotonic()
        self._written = {one: at for one, at in self._written.items() if now - at < AGAIN_SECONDS}
        self._written |= dict.fromkeys(services, now)
        body = orjson.dumps({"data": {key(one): self._now() for one in services}})
        headers = {"Content-Type": "application/merge-patch+json"}
        try:
            async with self._session.patch(self._path, data=body, headers=headers, timeout=_TIMEOUT) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _LOG.warning("could not ask for a replica", extra={"error": str(error) or type(error).__name__})
            return False
        if answer.status != 200:
            _LOG.warning("could not ask for a replica", extra={"status": answer.status, "answer": text[:300]})
            return False
        self._metrics.wakes.inc(len(services))
        return True


def key(service: Service) -> str:
    """Return how the ConfigMap calls a model; a namespace has no dot in it."""
    return ".".join(service)
