"""Answers `POST /v2/models/{name}/predict`: rows by column name in, rows out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from foresail_runtime import errors
from foresail_runtime.codec import check, parsing, weight
from foresail_runtime.tensors import InferRequest
from foresail_runtime.web import answers, bodies, infer, packing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from foresail_runtime.model import Model
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings
    from foresail_runtime.tasks.tabular import Table
    from foresail_runtime.tensors import Signature, Tensor


class TableHandler:
    """A document to tensors, tensors through the model, tensors to a document."""

    def __init__(self, serving: Serving, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings

    async def __call__(self, request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer one request and count it."""
        model = self._serving.model(values["name"], values.get("version", ""))
        with self._serving.counted(model, "predict"):
            return await self._answer(request, model)

    async def _answer(self, request: web.BaseRequest, model: Model) -> web.Response:
        if model.table is None:
            raise errors.InvalidRequest(
                f"model {model.name!r} takes no table: POST tensors to /v2/models/{model.name}/infer, "
                "or set the model's task to tabular"
            )
        settings = self._settings
        body = await bodies.whole(request, settings.max_body_bytes, settings.body_timeout_seconds)
        size = len(body)
        self._serving.metrics.received_bytes += size
        clock = self._serving.clock
        begun = clock()
        if size < infer.LARGE:
            inputs = _read(model.signature, model.table, body)
            model.metrics.decoded(clock() - begun)
            return await self._run(request, model, model.table, size, inputs)
        heavy = self._serving.heavy
        async with heavy.turn(weight.check(body, heavy.most, "send fewer rows a request")):
            inputs = await heavy.run(_read, model.signature, model.table, body)
            del body  # its tensors are enough
            model.metrics.decoded(clock() - begun)
            return await self._run(request, model, model.table, size, inputs)

    async def _run(
        self, request: web.BaseRequest, model: Model, table: Table, size: int, inputs: tuple[Tensor, ...]
    ) -> web.Response:
        clock = self._serving.clock
        wanted = InferRequest(inputs)
        response = await model.infer(wanted, max(size, wanted.nbytes))
        begun = clock()
        data = orjson.dumps(
            {"model_name": model.name, "model_version": model.version, **table.answer(response.outputs)}
        )
        model.metrics.encoded(clock() - begun)
        self._serving.metrics.sent_bytes += len(data)
        return await packing.response(request, data, answers.JSON)


def _read(signature: Signature, table: Table, body: bytes) -> tuple[Tensor, ...]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = parsing.hint(error, "null is a missing number")
        raise errors.InvalidRequest(f"the body is not JSON: {error}{hint}") from error
    return check.arrange_inputs(signature, table.read(document))
