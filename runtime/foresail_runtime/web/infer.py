"""Answers `POST /v2/models/{name}[/versions/{version}]/infer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_runtime import errors
from foresail_runtime.codec import rest, weight
from foresail_runtime.web import answers, bodies, packing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web
    from multidict import CIMultiDictProxy

    from foresail_runtime.model import Model
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings
    from foresail_runtime.tensors import InferRequest

LARGE: Final = 2**20
"""Documents from so many bytes on are read on a thread of their own."""
LARGE_ANSWER: Final = 2**18
"""Answers from so many numbers on are written there."""


class InferHandler:
    """Body to tensors, tensors through the model, tensors to body."""

    def __init__(self, serving: Serving, settings: Settings) -> None:
        self._serving = serving
        self._settings = settings

    async def __call__(self, request: web.BaseRequest, values: Mapping[str, str]) -> web.StreamResponse:
        """Answer one request and count it."""
        model = self._serving.model(values["name"], values.get("version", ""))
        with self._serving.counted(model, "infer"):
            return await self._answer(request, model)

    async def _answer(self, request: web.BaseRequest, model: Model) -> web.Response:
        settings, headers = self._settings, request.headers
        body = await bodies.whole(request, settings.max_body_bytes, settings.body_timeout_seconds)
        size = len(body)
        self._serving.metrics.received_bytes += size
        clock = self._serving.clock
        begun = clock()
        length = header_length(headers)
        if (size if length is None else length) < LARGE:
            wanted, form = rest.decode(model.signature, body, length)
            model.metrics.decoded(clock() - begun)
            return await self._run(request, model, size, wanted, form)
        heavy = self._serving.heavy
        text = body if length is None else body[:length]
        taken = weight.check(text, heavy.most, "send tensors as binary data, or fewer rows a request")
        async with heavy.turn(taken):
            wanted, form = await heavy.run(rest.decode, model.signature, body, length)
            del body  # its tensors are enough
            model.metrics.decoded(clock() - begun)
            return await self._run(request, model, size, wanted, form)

    async def _run(
        self, request: web.BaseRequest, model: Model, size: int, wanted: InferRequest, form: rest.Form
    ) -> web.Response:
        clock = self._serving.clock
        arrays = model.batcher.run_alone(wanted) if self._serving.in_flight == 1 else None
        if arrays is None:
            response = await model.infer(wanted, max(size, wanted.nbytes))
        else:
            response = model.respond(wanted, arrays)
        begun = clock()
        if sum(tensor.array.size for tensor in response.outputs) < LARGE_ANSWER:
            data, head_size = rest.encode(response, form)
        else:
            data, head_size = await self._serving.heavy.run(rest.encode, response, form)
        model.metrics.encoded(clock() - begun)
        self._serving.metrics.sent_bytes += len(data)
        more: dict[str, str] = {}
        if head_size is not None:
            more[answers.HEADER_LENGTH] = str(head_size)
        return await packing.response(request, data, answers.JSON if head_size is None else answers.BINARY, more)


def header_length(headers: CIMultiDictProxy[str]) -> int | None:
    """Return the value of Inference-Header-Content-Length; None: there is no such header.

    Raises:
        InvalidRequest: It is no whole number from 0 up, or is there twice and says two things.
    """
    lengths = headers.getall(answers.HEADER_LENGTH, ())
    if not lengths:
        return None
    text = lengths[0]
    if len(set(lengths)) > 1:
        raise errors.InvalidRequest(f"{answers.HEADER_LENGTH} is there twice, as {text!r} and as {lengths[1]!r}")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise errors.InvalidRequest(f"{answers.HEADER_LENGTH} is {text!r}, not a whole number from 0 up")
    return int(text)
