"""From a request to its response: finds the handler, answers failures, writes the access log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING

from aiohttp import web

from foresail_runtime import contract, errors
from foresail_runtime.web import answers, infer, pictures, routes, status

if TYPE_CHECKING:
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings

log = logging.getLogger(__name__)
access_log = logging.getLogger("foresail.access")


class Dispatcher:
    """Callable with a request; never raises but for cancellation."""

    def __init__(self, serving: Serving, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings
        self._routes = table(serving, settings)
        self._logs_access = settings.access_log

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        start = time.monotonic() if self._logs_access else 0.0
        try:
            response = await self._handle(request)
        except errors.ForesailError as failure:
            self._serving.metrics.rejected[failure.reason] += 1
            response = answers.error(failure, self._settings.overload_status)
            if isinstance(failure, errors.TooLarge | errors.RequestTimeout):
                response.force_close()
        except asyncio.CancelledError:
            raise
        except Exception:
            number = uuid.uuid4().hex[:12]
            log.exception("a request failed because of a mistake of ours; failure=%s path=%s", number, request.path)
            self._serving.metrics.rejected["internal"] += 1
            response = answers.json({"error": f"internal error {number}: the server's log has more"}, 500)
        if self._logs_access:
            _log_access(request, response, time.monotonic() - start)
        return response

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if request.method == "OPTIONS":
            return self._options(path)
        handler, values = self._routes.find(request.method, path)
        return await handler(request, values)

    def _options(self, path: str) -> web.Response:
        try:
            self._routes.find("OPTIONS", path)
        except errors.MethodNotAllowed as failure:
            return web.Response(status=204, headers={"Allow": ", ".join(failure.allowed)})
        raise errors.NotFound(f"there is nothing at {path}")


def table(serving: Serving, settings: Settings) -> routes.Routes:
    """Return the table of every path that is answered."""
    about = status.StatusHandlers(serving)
    picture = pictures.PictureHandlers(serving, settings)
    found = routes.Routes()
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found.add(f"{prefix}/infer", POST=infer.InferHandler(serving, settings))
        found.add(f"{prefix}/detect", POST=picture.detect)
        found.add(f"{prefix}/classify", POST=picture.classify)
        found.add(f"{prefix}/ready", GET=about.model_ready)
        found.add(prefix, GET=about.model)
    found.add(contract.LIVE_PATH, GET=about.live)
    found.add(contract.READY_PATH, GET=about.ready)
    found.add("/v2", GET=about.server)
    found.add(contract.METRICS_PATH, GET=about.metrics)
    found.add(contract.LOAD_PATH, GET=about.load)
    return found


def _log_access(request: web.BaseRequest, response: web.StreamResponse, seconds: float) -> None:
    access_log.info(
        "answered",
        extra={
            "fields": {
                "method": request.method,
                "path": request.rel_url.raw_path,
                "status": response.status,
                "milliseconds": round(seconds * 1000, 3),
                "bytes": response.body_length if response.prepared else getattr(response, "content_length", None),
                "client": request.remote,
                "request_id": request.headers.get("X-Request-Id"),
            }
        },
    )
