"""Answers what Triton adds to the protocol: a model's configuration, statistics, the index of the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from foresail_runtime import errors
from foresail_runtime.codec import extensions
from foresail_runtime.web import answers, bodies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings

MAX_DOCUMENT_BYTES: Final = 2**16
"""Of a call that says in a word or two what it wants: it is read on the loop."""


class ExtensionHandlers:
    """One method a path."""

    def __init__(self, serving: Serving, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings

    async def config(self, _request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer with a model's configuration."""
        model = self._serving.model(values["name"], values.get("version", ""))
        return answers.json(extensions.config(model.info, model.max_batch_size))

    async def model_statistics(self, _request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer with what was counted for a version, or without one for every version of the model."""
        models = self._serving.asked(values["name"], values.get("version", ""))
        return answers.json({"model_stats": [extensions.statistics(model.metrics) for model in models]})

    async def statistics(self, _request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with what was counted for every model."""
        counts = [extensions.statistics(model.metrics) for model in self._serving.models()]
        return answers.json({"model_stats": counts})

    async def index(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with the models there are; the body may be empty, or say that only those ready are wanted."""
        wish = await self._document(request)
        ready = wish.get("ready", False)
        if not isinstance(ready, bool):
            raise errors.InvalidRequest('the body is neither empty nor {"ready": true}')
        return answers.json([entry.document() for entry in self._serving.index(ready=ready)])

    async def load(self, request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Load a model of the folder, or what changed of it, and answer once it is served."""
        library = self._serving.library_for(_authorization(request))
        wish = await self._document(request)
        extensions.check_load(wish.get("parameters"))
        await library.load(values["name"])
        return answers.json({})

    async def unload(self, request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Unload a model, and answer once its last request is answered."""
        library = self._serving.library_for(_authorization(request))
        wish = await self._document(request)
        extensions.check_unload(wish.get("parameters"))
        await library.unload(values["name"])
        return answers.json({})

    async def absent(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Say that an extension of Triton's is not here, and what is instead."""
        path = request.rel_url.raw_path
        words = next(words for part, words in _ABSENT.items() if part in path)
        raise errors.NotFound(f"there is nothing at {path}: {words}")

    async def _document(self, request: web.BaseRequest) -> dict[str, Any]:
        try:
            body = await bodies.whole(request, MAX_DOCUMENT_BYTES, self._settings.body_timeout_seconds)
        except errors.TooLarge as error:
            raise errors.TooLarge(f"the body of this call has at most {MAX_DOCUMENT_BYTES} bytes") from error
        if not body.strip():
            return {}
        try:
            document: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise errors.InvalidRequest(f"the body is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise errors.InvalidRequest("the body is neither empty nor a JSON object")
        return document


ABSENT_PATHS: Final = (
    "/v2/logging",
    "/v2/trace/setting",
    "/v2/models/{name}/trace/setting",
    *(
        f"/v2/{kind}sharedmemory{region}/{verb}"
        for kind in ("system", "cuda")
        for region, verb in (
            ("", "status"),
            ("", "unregister"),
            ("/region/{region}", "status"),
            ("/region/{region}", "register"),
            ("/region/{region}", "unregister"),
        )
    ),
)
_ABSENT: Final = {
    "/logging": "logs are set when the server starts (FORESAIL_LOG_LEVEL, FORESAIL_LOG_FORMAT)",
    "/trace/": "traces are set when the server starts, if at all",
    "sharedmemory": "shared memory is not offered, send tensors in the request's body",
}
REPOSITORY_TOKEN: Final = "Foresail-Repository-Token"  # noqa: S105  # a header's name
"""Where `Authorization` has the token that opens the server itself, the one for loading goes here."""


def _authorization(request: web.BaseRequest) -> str | None:
    token = request.headers.get(REPOSITORY_TOKEN)
    return request.headers.get("Authorization") if token is None else f"Bearer {token}"
