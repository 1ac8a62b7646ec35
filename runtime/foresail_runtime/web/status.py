"""Answers what needs no model run: health, metadata, metrics, load."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

import foresail_runtime
from foresail_runtime import serving
from foresail_runtime.codec import extensions
from foresail_runtime.health import REASONS, State
from foresail_runtime.web import answers, packing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime.exposition import Exposition
    from foresail_runtime.serving import Serving
    from foresail_runtime.tensors import ModelInfo, TensorSpec


PROBE: Final = "kube-probe/"
"""How the kubelet's User-Agent begins."""
HOLD_SECONDS: Final = 0.8
"""With what a probe may have waited for the imports, less than the 2 s that it is given."""
_STARTING: Final = frozenset({State.STARTING, State.FETCHING, State.VERIFYING, State.LOADING, State.WARMING})


class StatusHandlers:
    """One method a path."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._settled = asyncio.Event()
        serving.health.when_settled(self._settled.set)

    async def live(self, _request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer 200: whoever hears this is alive; 503 where a device failed, so that the process is started again."""
        if self._serving.live():
            return answers.json({"live": True})
        return answers.json({"live": False, "message": f"the device failed: {self._serving.broken}"}, 503)

    async def ready(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer 200 when every model is ready; else 503, with the state and why."""
        await self._hold(request)
        status = self._serving.health.status
        return answers.json(status.document(), 200 if self._serving.ready() else 503)

    async def _hold(self, request: web.BaseRequest) -> None:
        """Let the kubelet's probe wait a moment for a server that starts: it would come again a whole second later."""
        if self._settled.is_set() or not request.headers.get("User-Agent", "").startswith(PROBE):
            return
        if self._serving.health.status.state in _STARTING:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), HOLD_SECONDS)

    async def model_ready(self, _request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer 200 when this model is ready; 503 while it is not, 404 if nobody knows it."""
        ready = self._serving.model_ready(values["name"], values.get("version", ""))
        document: dict[str, Any] = {"name": values["name"], "ready": ready}
        if not ready and (problem := self._serving.problem(values["name"])):
            state = "unloaded" if problem == serving.UNLOADED else State.FAILED
            document |= {"state": state, "message": problem}
        elif not ready:
            whole = self._serving.health.status
            # A server that is ready says nothing of a model that is on its way.
            begun = State.LOADING if whole.state is State.READY else whole.state
            document |= {"state": begun, "reason": REASONS.get(begun, whole.reason)}
        return answers.json(document, 200 if ready else 503)

    async def server(self, _request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with the server's name, version and extensions."""
        return answers.json(
            {"name": "foresail", "version": foresail_runtime.__version__, "extensions": list(extensions.NAMES)}
        )

    async def model(self, _request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer with a model's metadata."""
        return answers.json(describe(self._serving.model_info(values["name"], values.get("version", ""))))

    async def metrics(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with Prometheus' text."""
        made = self._exposition
        return await packing.response(request, made.render(), made.content_type)

    @functools.cached_property
    def _exposition(self) -> Exposition:
        from foresail_runtime import exposition  # noqa: PLC0415  # it says why

        return exposition.Exposition(self._serving.metrics)

    async def load(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with what this replica carries: from counters only, since it is asked twice a second."""
        load = self._serving.load(latency=request.query.get("latency") == "1")
        return web.Response(text=load.encode(), content_type=answers.JSON)


def describe(info: ModelInfo) -> dict[str, Any]:
    """Return the protocol's metadata document of a model."""
    document: dict[str, Any] = {
        "name": info.name,
        "versions": list(info.versions),
        "platform": info.platform,
        "inputs": [_tensor(spec) for spec in info.signature.inputs],
        "outputs": [_tensor(spec) for spec in info.signature.outputs],
    }
    if info.properties:
        document["properties"] = dict(info.properties)
    return document


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": list(spec.shape)}
