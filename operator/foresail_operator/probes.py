"""/healthz, /readyz and /metrics.

Healthy: the event loop answers, no key is stuck in the queue, and what a sweep found the watches have shown since.
Ready: the watches have shown all there is, so this replica leads or could lead at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.metrics import Metrics

STUCK_SECONDS: Final = 300.0


def app(sick: Callable[[], str | None], unready: Callable[[], str | None], metrics: Metrics) -> web.Application:
    """Return the application; `sick` and `unready` give the reason, or None."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(sick())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(unready())

    async def measured(_: web.Request) -> web.Response:
        body = exposition.generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", measured)])
    return application


def _answer(trouble: str | None) -> web.Response:
    return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)
