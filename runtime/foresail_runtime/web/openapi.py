"""The OpenAPI document of what is loaded: each model's own paths, with its tensors' names, datatypes and shapes."""

from __future__ import annotations

import contextlib
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

import orjson

import foresail_runtime
from foresail_runtime import contract, errors
from foresail_runtime.web import answers, packing, schemas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from foresail_runtime.model import Model
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings
    from foresail_runtime.tasks.classification import Classifier
    from foresail_runtime.tasks.detection import Detector

PATH: Final = "/openapi.json"
_VERSION: Final = "3.1.0"
_READY_ONLY: Final = {**schemas.OBJECT, "properties": {"ready": {"type": "boolean"}}}
_ERROR: Final = {
    "description": "A sentence says what is wrong and what to do.",
    "content": {
        answers.JSON: {"schema": {**schemas.OBJECT, "required": ["error"], "properties": {"error": {"type": "string"}}}}
    },
}


class OpenApiHandler:
    """Answers with the document, made anew for what is loaded now."""

    def __init__(self, serving: Serving, settings: Settings) -> None:
        self._serving = serving
        self._secured = settings.tokens is not None

    async def __call__(self, request: web.BaseRequest, _values: Mapping[str, str]) -> web.Response:
        """Answer with the document."""
        loading = self._serving.library is not None and self._serving.keys is not None
        made = orjson.dumps(document(self._serving, secured=self._secured, loading=loading))
        return await packing.response(request, made, answers.JSON)


def document(serving: Serving, *, secured: bool, loading: bool) -> dict[str, Any]:
    """Return the document; `secured` says that a bearer token is asked for, `loading` that calls may load models."""
    paths = _server_paths() | (_repository_paths() if loading else {})
    for name in dict.fromkeys(model.name for model in serving.models()):
        base = f"/v2/models/{_quote(name)}"
        with contextlib.suppress(errors.NotFound):  # its default version is not loaded
            paths |= _model_paths(base, serving.model(name))
        for model in serving.asked(name):
            paths |= _model_paths(f"{base}/versions/{_quote(model.version)}", model)
    made: dict[str, Any] = {
        "openapi": _VERSION,
        "info": {
            "title": "Foresail",
            "version": foresail_runtime.__version__,
            "description": "Models over the Open Inference Protocol v2. Bodies may also be binary (its binary tensor "
            "extension), packed with gzip or deflate, or sent by gRPC.",
        },
        "paths": paths,
    }
    if secured or loading:
        made["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    if secured:
        made["security"] = [{"token": []}]
        for path in (contract.LIVE_PATH, contract.READY_PATH, contract.LOAD_PATH):
            paths[path]["get"]["security"] = []
        for path, operations in paths.items():
            if path not in (contract.LIVE_PATH, contract.READY_PATH, contract.LOAD_PATH):
                for operation in operations.values():
                    operation["responses"]["401"] = _ERROR
    return made


def _server_paths() -> dict[str, Any]:
    ready = _answer("Every model answers.", schemas.OBJECT) | {"503": _body("The state, and why.", schemas.OBJECT)}
    return {
        contract.LIVE_PATH: _get("Whether the process answers", _answer("It does.", schemas.OBJECT)),
        contract.READY_PATH: _get("Whether every model answers", ready),
        "/v2": _get("What this server is", _answer("Name, version, extensions.", schemas.OBJECT)),
        "/v2/models/stats": _get("Statistics of every model in Triton's words", _answer("They.", schemas.OBJECT)),
        "/v2/repository/index": _post(
            "The models there are",
            {answers.JSON: {"schema": _READY_ONLY}},
            {"type": "array", "items": schemas.OBJECT},
            required=False,
        ),
        contract.LOAD_PATH: _get("What this replica carries now", _answer("One line.", schemas.OBJECT)),
        contract.METRICS_PATH: _get(
            "Prometheus' text",
            {"200": {"description": "Metrics.", "content": {"text/plain": {"schema": schemas.TEXT}}}},
        ),
    }


def _repository_paths() -> dict[str, Any]:
    """Return what loads and unloads; the path's model need not be loaded, so it is a parameter."""
    name = {"name": "name", "in": "path", "required": True, "schema": schemas.TEXT}
    paths = {}
    for verb in ("load", "unload"):
        body = {answers.JSON: {"schema": schemas.change(verb)}}
        made = _post(f"{verb.capitalize()} a model", body, required=False)["post"]
        refused = {str(status): _ERROR for status in (401, 404)}
        more = {"parameters": [name], "security": [{"token": []}], "responses": made["responses"] | refused}
        paths[f"/v2/repository/models/{{name}}/{verb}"] = {"post": made | more}
    return paths


def _model_paths(prefix: str, model: Model) -> dict[str, Any]:
    name = model.name
    ready = _answer("It answers.", schemas.OBJECT) | {"503": _body("It does not yet.", schemas.OBJECT)}
    paths = {
        prefix: _get(f"Metadata of {name}", _answer("What it takes and gives.", schemas.OBJECT)),
        f"{prefix}/ready": _get(f"Whether {name} answers", ready),
        f"{prefix}/config": _get(f"Configuration of {name} in Triton's words", _answer("It.", schemas.OBJECT)),
        f"{prefix}/stats": _get(f"Statistics of {name} in Triton's words", _answer("They.", schemas.OBJECT)),
        f"{prefix}/infer": _infer(model),
    }
    if model.drift is not None:
        paths[f"{prefix}/drift"] = _get(
            f"How far {name}'s requests are from its reference", _answer("It.", schemas.OBJECT)
        )
    if model.picture is not None:
        paths[f"{prefix}/{model.picture.way}"] = _picture(name, model.picture)
    if model.table is not None:
        content = {answers.JSON: {"schema": schemas.rows(model.table)}}
        paths[f"{prefix}/predict"] = _post(f"Rows of a table through {name}", content)
    return paths


def _infer(model: Model) -> dict[str, Any]:
    made = _post(
        f"Tensors through {model.name}", {answers.JSON: {"schema": schemas.request(model)}}, schemas.answer(model)
    )
    made["post"]["responses"]["200"]["content"][answers.BINARY] = {"schema": schemas.FILE}
    return made


def _picture(name: str, picture: Detector | Classifier) -> dict[str, Any]:
    way = picture.way
    known = schemas.picture_options(way, has_masks=getattr(picture, "part", None) == "mask")
    form = {**schemas.OBJECT, "required": ["image"], "properties": {"image": schemas.FILE, **known}}
    kinds = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", answers.BINARY)
    content: dict[str, Any] = {kind: {"schema": schemas.FILE} for kind in kinds}
    made = _post(f"A picture through {name}", content | {"multipart/form-data": {"schema": form}})
    made["post"]["parameters"] = [{"name": key, "in": "query", "schema": schema} for key, schema in known.items()]
    if way == "detect":
        made["post"]["responses"]["200"]["content"]["image/png"] = {"schema": schemas.FILE}
    return made


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": dict(responses)}}


def _post(
    summary: str, content: dict[str, Any], answer: Mapping[str, Any] = schemas.OBJECT, *, required: bool = True
) -> dict[str, Any]:
    """Return a path that takes a body, which may be left out where it is not `required`."""
    responses = _answer("What it gives.", answer)
    responses |= {str(status): _ERROR for status in (400, 408, 413, 415, 429, 503, 504)}
    return {
        "post": {"summary": summary, "requestBody": {"required": required, "content": content}, "responses": responses}
    }


def _answer(words: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"200": _body(words, schema)}


def _body(words: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": {answers.JSON: {"schema": dict(schema)}}}


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe="")
