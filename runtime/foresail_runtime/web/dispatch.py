"""From a request to its response: finds the handler, answers failures, writes the access log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from foresail_runtime import auth, contract, errors, room, tracing
from foresail_runtime.web import (
    answers,
    bodies,
    drift,
    express,
    extensions,
    infer,
    openapi,
    origins,
    pictures,
    routes,
    status,
    tables,
    unsent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foresail_runtime.access import AccessLog
    from foresail_runtime.auth import Guard
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings

log = logging.getLogger(__name__)

UNTOLD_BYTES: Final = 2**20
"""What a body counts for whose length is not told beforehand."""


class Dispatcher:
    """Callable with a request; never raises but for cancellation."""

    def __init__(self, serving: Serving, settings: Settings, guard: Guard, access: AccessLog) -> None:
        self._serving = serving
        self.guard = None if guard.open else guard
        self._settings = settings
        self._access = access
        self.room: Final = room.Room(settings.max_held_bytes)
        """Of bodies that are being received or answered, and of large answers that are being sent."""
        long_way = infer.InferHandler(serving, settings)
        self._routes = table(serving, settings, long_way)
        self.express = express.Express(serving, self._routes, long_way, settings, access, room=self.room)

    def count_malformed(self) -> None:
        """Count a request that was no HTTP."""
        self._serving.metrics.rejected["malformed"] += 1

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        start = time.monotonic() if self._access.active else 0.0
        try:
            response = await self._handle(request)
        except errors.ForesailError as failure:
            self._serving.metrics.rejected[failure.reason] += 1
            response = answers.error(failure, self._serving.status_of(failure))
            if isinstance(failure, errors.TooLarge | errors.RequestTimeout | errors.BrokenBody):
                response.force_close()
        except asyncio.CancelledError:
            raise
        except Exception:
            number = uuid.uuid4().hex[:12]
            log.exception("a request failed because of a mistake of ours; failure=%s path=%s", number, request.path)
            self._serving.metrics.rejected["internal"] += 1
            response = answers.json({"error": f"internal error {number}: the server's log has more"}, 500)
        response.headers.setdefault("Server", "foresail")
        if "Origin" in request.headers:
            response.headers.extend(origins.headers(self._settings.allowed_origins, request.headers))
        if self._access.active and request.rel_url.raw_path != contract.LOAD_PATH:
            self._write_down(request, response, time.monotonic() - start)
        return response

    def _write_down(self, request: web.BaseRequest, response: web.StreamResponse, seconds: float) -> None:
        trace = self._access.write(
            request.method,
            request.rel_url.raw_path,
            response.status,
            seconds=seconds,
            size=response.content_length,
            client=request.remote,
            headers=request.headers,
        )
        if trace is not None:
            response.headers[tracing.ANSWER_HEADER] = trace

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path or request.raw_path  # the latter of CONNECT, which names no path
        if request.method == "OPTIONS":
            return self._options(request, path)
        if self.guard is not None and path not in auth.OPEN_PATHS:
            protocol: Any = request.protocol
            self.guard.check(request.headers.get("Authorization"), certified=protocol.certified)
        handler, values = self._routes.find(request.method, path)
        if not request.can_read_body:
            return await handler(request, values)
        _check_coding(request.headers.getall("Transfer-Encoding", ()))
        size = UNTOLD_BYTES if request.content_length is None else request.content_length
        with self.room.taken(size) as request[bodies.PLACE]:
            if self._serving.missed(values.get("name", "")):
                await self._serving.wait()
            response = await handler(request, values)
        if isinstance(response, web.Response) and (length := response.content_length or 0) > unsent.LARGE:
            self.room.check(length)
        return response

    def _options(self, request: web.BaseRequest, path: str) -> web.Response:
        try:
            self._routes.find("OPTIONS", path)
        except errors.MethodNotAllowed as failure:
            headers = {"Allow": ", ".join(failure.allowed)}
            more = origins.preflight(self._settings.allowed_origins, request.headers, failure.allowed)
            return web.Response(status=204, headers=headers | more)
        raise errors.NotFound(f"there is nothing at {path}")


def _check_coding(codings: Sequence[str]) -> None:
    """Refuse a body that was coded before it was cut into chunks: it would be taken for what it is not.

    Raises:
        Unsupported: RFC 9112, 6.1, asks for 501.
    """
    whole = ", ".join(codings)
    if codings and whole.strip().lower() != "chunked":
        raise errors.Unsupported(
            f"Transfer-Encoding {whole!r} is not supported: send chunked alone, and pack by Content-Encoding"
        )


def table(serving: Serving, settings: Settings, long_way: infer.InferHandler) -> routes.Routes:
    """Return the table of every path that is answered."""
    about = status.StatusHandlers(serving)
    picture = pictures.PictureHandlers(serving, settings)
    extra = extensions.ExtensionHandlers(serving, settings)
    table_handler = tables.TableHandler(serving, settings)
    shift = drift.DriftHandler(serving)
    found = routes.Routes()
    found.add("/v2/models/stats", GET=extra.statistics)
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found.add(f"{prefix}/infer", POST=long_way)
        found.add(f"{prefix}/detect", POST=picture.detect)
        found.add(f"{prefix}/classify", POST=picture.classify)
        found.add(f"{prefix}/predict", POST=table_handler)
        found.add(f"{prefix}/ready", GET=about.model_ready)
        found.add(f"{prefix}/config", GET=extra.config)
        found.add(f"{prefix}/stats", GET=extra.model_statistics)
        found.add(f"{prefix}/drift", GET=shift)
        found.add(prefix, GET=about.model)
    found.add(contract.LIVE_PATH, GET=about.live)
    found.add(contract.READY_PATH, GET=about.ready)
    found.add("/v2", GET=about.server)
    found.add("/v2/repository/index", POST=extra.index)
    found.add("/v2/repository/models/{name}/load", POST=extra.load)
    found.add("/v2/repository/models/{name}/unload", POST=extra.unload)
    for path in extensions.ABSENT_PATHS:
        found.add(path, GET=extra.absent, POST=extra.absent)
    found.add(openapi.PATH, GET=openapi.OpenApiHandler(serving, settings))
    found.add(contract.METRICS_PATH, GET=about.metrics)
    found.add(contract.LOAD_PATH, GET=about.load)
    return found
