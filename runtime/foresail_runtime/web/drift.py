"""Answers `GET /v2/models/{name}/drift`: how far this replica's requests are from the model's reference."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from foresail_runtime import errors
from foresail_runtime.drift import export
from foresail_runtime.web import answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from foresail_runtime.serving import Serving


class DriftHandler:
    """A document a model."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, _request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer with the features, those that drifted most first."""
        model = self._serving.model(values["name"], values.get("version", ""))
        if model.drift is None:
            raise errors.NotFound(
                f"model {model.name!r} has no drift reference: make one with foresail reference MODEL DATA OUT.json "
                "and name it in FORESAIL_DRIFT_REFERENCE"
            )
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._serving.workers, export.document, model.name, model.version, model.drift
        )
        return answers.json(found)
