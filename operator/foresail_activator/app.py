"""Puts the activator together and runs it: the watch, the ports, the wishes and the probes.

Stopping: it says that it is not ready, goes on taking connections until Services have heard of that, then lets those
that are there finish, and at the end refuses who still waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import exposition

from foresail_activator.directory import Directory
from foresail_activator.hold import House
from foresail_activator.limits import Held
from foresail_activator.listeners import Listeners
from foresail_activator.metrics import Metrics
from foresail_activator.wake import AGAIN_SECONDS, Waker
from foresail_operator import sockets
from foresail_operator.api import kinds
from foresail_operator.desired import activator
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics as RequestMetrics
from foresail_operator.watch import Watch

if TYPE_CHECKING:
    import aiohttp

    from foresail_activator.settings import Settings
    from foresail_operator.access import Access

_LAST_WORDS_SECONDS: Final = 1.0


class Activator:
    """One replica of the activator."""

    def __init__(self, settings: Settings, access: Access, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._access = access
        held = Held()
        self.metrics = Metrics(held)
        self.house = House(settings.limits, held, self.metrics)
        path = kinds.CONFIG_MAP.path(settings.pod_namespace, settings.wake_name)
        self.waker = Waker(session, path, self.metrics, rfc3339)
        self.listeners = Listeners(Directory(), self.house, self.waker.wake)
        self._ready = False

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set and what was there has finished."""
        runner = web.AppRunner(self._probes(), access_log=None)
        await runner.setup()
        try:
            await web.SockSite(runner, sockets.listen(self._settings.http_host, self._settings.http_port)).start()
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(part) for part in (self._follow(), self._remind(), self.waker.run())]
                await stop.wait()
                await self._drain()
                for part in parts:
                    part.cancel()
        finally:
            await runner.cleanup()

    async def _follow(self) -> None:
        """Read all there is, be ready, and follow what changes."""
        async with self._access.session(connections=0) as session, asyncio.TaskGroup() as group:
            kube = Kube(session, RequestMetrics(), lambda: None)
            watches = []
            for namespace in self._settings.namespaces or (None,):
                watch = Watch(
                    kube,
                    kinds.ENDPOINT_SLICE,
                    namespace,
                    activator.SLICES_OF_SERVICES,
                    sink=self.listeners,
                    jitter=random.random,
                )
                group.create_task(watch.run())
                watches.append(watch)
            await asyncio.gather(*(watch.listed.wait() for watch in watches))
            await self.listeners.settle()
            self._ready = True
            await self.listeners.run()

    async def _remind(self) -> None:
        """Ask again for who still waits: what was asked once may have been undone since."""
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            self.listeners.remind()

    async def _drain(self) -> None:
        self._ready = False
        await asyncio.sleep(self._settings.drain_seconds)
        self.listeners.stop_listening()
        if not await self._emptied(self._settings.grace_seconds):
            self.listeners.refuse_all("the activator is being replaced; try again")
            await self._emptied(_LAST_WORDS_SECONDS)
        for client in list(self.house.clients):
            client.close()

    async def _emptied(self, seconds: float) -> bool:
        """Wait until nobody is connected any more, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.house.empty.wait(), seconds)
        return self.house.empty.is_set()

    def _probes(self) -> web.Application:
        async def healthz(_: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        async def readyz(_: web.Request) -> web.Response:
            return web.Response(text="ok\n") if self._ready else web.Response(text="not ready\n", status=503)

        async def measured(_: web.Request) -> web.Response:
            body = exposition.generate_latest(self.metrics.registry)
            return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})

        application = web.Application()
        routes = [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", measured)]
        application.add_routes(routes)
        return application


def rfc3339() -> str:
    """Return the time as the Kubernetes API writes it, with microseconds, so that each wish differs."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
