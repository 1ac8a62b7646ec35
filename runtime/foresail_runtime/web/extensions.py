"""Answers what Triton adds to the protocol: a model's configuration, statistics, the index of the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from foresail_runtime import errors
from foresail_runtime.codec import extensions
from foresail_runtime.web import answers, bodies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings


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
        """Answer with what was counted for one model."""
        model = self._serving.model(values["name"], values.get("version", ""))
        return answers.json({"model_stats": [extensions.statistics(model.metrics)]})

    async def statistics(self, _request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with what was counted for every model."""
        counts = [extensions.statistics(model.metrics) for model in self._serving.models()]
        return answers.json({"model_stats": counts})

    async def index(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with the models there are; the body may be empty, or say that only those ready are wanted."""
        body = await bodies.read(request, self._settings.max_body_bytes, self._settings.body_timeout_seconds)
        _check_wish(body)
        models = self._serving.models()
        return answers.json([{"name": model.name, "version": model.version, "state": "READY"} for model in models])


def _check_wish(body: bytes) -> None:
    """Refuse a body that is no wish; loaded models are ready, so that its answer is the same either way."""
    if not body.strip():
        return
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.InvalidRequest(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("ready", False), bool):
        raise errors.InvalidRequest('the body is neither empty nor {"ready": true}')
