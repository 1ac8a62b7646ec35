"""Answers `POST /v2/models/{name}/detect` and `/classify`: a picture in, boxes or classes out."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from foresail_runtime import errors, room
from foresail_runtime.tasks import options
from foresail_runtime.tensors import InferRequest
from foresail_runtime.web import answers, bodies, infer, multipart, packing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from foresail_runtime.model import Model
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings

_TASKS: Final = {"detect": "object detection", "classify": "image classification"}


class PictureHandlers:
    """Decodes, resizes and draws on the worker threads; the model's run is batched like any other."""

    def __init__(self, serving: Serving, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings
        self._budget = room.Budget(settings.max_held_bytes // 2)

    async def detect(self, request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer with boxes, or with the picture and its boxes drawn in (`format=png`)."""
        return await self._count("detect", request, values)

    async def classify(self, request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        """Answer with the likeliest classes."""
        return await self._count("classify", request, values)

    async def _count(self, way: str, request: web.BaseRequest, values: Mapping[str, str]) -> web.Response:
        model = self._serving.model(values["name"], values.get("version", ""))
        with self._serving.counted(model, way):
            return await self._answer(way, request, model)

    async def _answer(self, way: str, request: web.BaseRequest, model: Model) -> web.Response:
        task = _task(way, model)
        settings = self._settings
        form = multipart.is_form(request.headers.get("Content-Type", ""))
        wanted: Any = None if form else task.read_options(request.query)  # refused before the body is waited for
        body, fields = await self._form(request)
        if form:
            wanted = task.read_options(_together(request.query, fields))
        is_drawn = way == "detect" and wanted.format == "png"
        prepare = functools.partial(task.prepare, keep_picture=True) if is_drawn else task.prepare
        # Decoding costs more than being told to come back: so what has no room in the queue is not decoded.
        model.batcher.check_room(model.preparing)
        model.preparing += 1
        begun = self._serving.clock()
        try:
            decode = functools.partial(prepare, body, max_pixels=settings.max_pixels, budget=self._budget)
            prepared = await self._work(decode)
        finally:
            model.preparing -= 1
        model.metrics.decoded(self._serving.clock() - begun)
        response = await model.infer(InferRequest(prepared.inputs, task.outputs), prepared.nbytes)
        begun = self._serving.clock()
        answer = await self._work(task.answer, prepared, response.outputs, wanted)
        model.metrics.encoded(self._serving.clock() - begun)
        if is_drawn:
            png = await self._work(_draw, prepared.picture, answer["detections"])
            self._serving.metrics.sent_bytes += len(png)
            return web.Response(body=png, content_type="image/png")
        data = orjson.dumps({"model_name": model.name, "model_version": model.version, **answer})
        self._serving.metrics.sent_bytes += len(data)
        return await packing.response(request, data, answers.JSON)

    async def _form(self, request: web.BaseRequest) -> multipart.Form:
        settings = self._settings
        body = await bodies.whole(request, settings.max_body_bytes, settings.body_timeout_seconds)
        self._serving.metrics.received_bytes += len(body)
        content_type = request.headers.get("Content-Type", "")
        if len(body) < infer.LARGE or not multipart.is_form(content_type):
            form = multipart.read(content_type, body, options.NAMES)
        else:
            form = await self._serving.heavy.run(multipart.read, content_type, body, options.NAMES)
        if not form.picture:
            raise errors.InvalidRequest(
                "the request has no picture: send its bytes, or a form with it "
                "(curl --data-binary @photo.jpg, or curl -F image=@photo.jpg)"
            )
        return form

    async def _work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._serving.workers, function, *arguments)


def _task(way: str, model: Model) -> Any:
    """Return the model's detector or classifier.

    Raises:
        InvalidRequest: It has none for this path.
    """
    if model.picture is None or model.picture.way != way:
        raise errors.InvalidRequest(_other_task(way, model))
    return model.picture


def _together(query: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """Return the options of the query and of the form.

    Raises:
        InvalidRequest: One is in both.
    """
    twice = next((name for name in fields if name in query), None)
    if twice is not None:
        raise errors.InvalidRequest(f"the option {twice} is in the query and in the form: send it once")
    return {**query, **fields}


def _draw(picture: Any, detections: list[dict[str, Any]]) -> bytes:
    # Imported here: fonts take a tenth of the server's start to import, and few ask for drawings.
    from foresail_runtime.tasks import draw  # noqa: PLC0415

    return draw.draw(picture, detections)


def _other_task(way: str, model: Model) -> str:
    if model.picture is not None:
        hint = f"POST the picture to /v2/models/{model.name}/{model.picture.way}"
    else:
        hint = f"POST tensors to /v2/models/{model.name}/infer, or set the model's task"
    return f"model {model.name!r} does no {_TASKS[way]}: {hint}"
