"""The public health service, whose watchers do not hold up a server that ends."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # grpcio has no types
    """Answers Check and Watch; a watch goes on until `end`."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End each watch well: those who watch ask the next server."""
        self._ended.set()

    async def List(self, _request: Any, context: Any) -> None:  # noqa: N802  # the name of the call
        """Say that services are asked for by their name; the library's own answer is a failure without words."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask Check or Watch for a service by its name")

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802  # the name of the call
        """Tell the status of a service, and each change of it."""
        watch = asyncio.create_task(super().Watch(request, context))
        end = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait((watch, end), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch
        finally:
            watch.cancel()
            end.cancel()
