"""Wishes as the API server gets them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from foresail_activator.directory import Door
from foresail_activator.limits import Held
from foresail_activator.metrics import Metrics
from foresail_activator.wake import Waker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PATH = "/api/v1/namespaces/foresail-system/configmaps/foresail-wake"


class Api:
    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: asyncio.Queue[Any] = asyncio.Queue()

    async def serve(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/merge-patch+json"
        self.bodies.put_nowait(json.loads(await request.text()))
        return web.json_response({}, status=self.statuses.pop(0) if self.statuses else 200)


@contextlib.asynccontextmanager
async def waker(api: Api, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> AsyncIterator[Waker]:
    application = web.Application()
    application.add_routes([web.patch(PATH, api.serve)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        made = Waker(session, PATH, Metrics(Held()), lambda: "now", sleep)
        running = asyncio.create_task(made.run())
        yield made
        running.cancel()
    await runner.cleanup()


async def test_models_that_are_wanted_at_once_go_in_one_write() -> None:
    api = Api()
    async with waker(api) as made:
        made.wake(Door(("team", "fraud"), "http"))
        made.wake(Door(("team", "fraud"), "grpc"))
        made.wake(Door(("team", "cats"), "http"))
        body = await asyncio.wait_for(api.bodies.get(), 5)
        assert body == {"data": {"team.fraud": "now", "team.cats": "now"}}
        made.wake(Door(("team", "fraud"), "http"))  # written a moment ago
        made.wake(Door(("other", "fraud"), "http"))
        assert await asyncio.wait_for(api.bodies.get(), 5) == {"data": {"other.fraud": "now"}}


async def test_a_wish_that_was_not_taken_is_written_again() -> None:
    api = Api(500)
    async with waker(api) as made:
        made.wake(Door(("team", "fraud"), "http"))
        first = await asyncio.wait_for(api.bodies.get(), 5)
        assert await asyncio.wait_for(api.bodies.get(), 5) == first


async def test_the_longer_wishes_are_refused_the_less_often_they_are_written() -> None:
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    api = Api(*[403] * 7)
    async with waker(api, sleep) as made, asyncio.timeout(5):
        for _ in range(8):
            made.wake(Door(("team", "fraud"), "http"))
            await api.bodies.get()
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
