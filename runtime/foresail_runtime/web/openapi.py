"""The OpenAPI document of what is loaded: each model's own paths, with its tensors' names, datatypes and shapes."""

from __future__ import annotations

import contextlib
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

import orjson

import foresail_runtime
from foresail_runtime import contract, errors
from foresail_runtime.web import answers, packing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from foresail_runtime.model import Model
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings
    from foresail_runtime.tensors import TensorSpec

PATH: Final = "/openapi.json"
_VERSION: Final = "3.1.0"
_OBJECT: Final = {"type": "object"}
_TEXT: Final = {"type": "string"}
_SIZE: Final = {"type": "integer", "minimum": 0}
_READY_ONLY: Final = {**_OBJECT, "properties": {"ready": {"type": "boolean"}}}
_ERROR: Final = {
    "description": "A sentence says what is wrong and what to do.",
    "content": {
        answers.JSON: {"schema": {**_OBJECT, "required": ["error"], "properties": {"error": {"type": "string"}}}}
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
    ready = _answer("Every model answers.", _OBJECT) | {"503": _body("The state, and why.", _OBJECT)}
    return {
        contract.LIVE_PATH: _get("Whether the process answers", _answer("It does.", _OBJECT)),
        contract.READY_PATH: _get("Whether every model answers", ready),
        "/v2": _get("What this server is", _answer("Name, version, extensions.", _OBJECT)),
        "/v2/models/stats": _get("Statistics of every model in Triton's words", _answer("They.", _OBJECT)),
        "/v2/repository/index": _post(
            "The models there are",
            {answers.JSON: {"schema": _READY_ONLY}},
            {"type": "array", "items": _OBJECT},
            required=False,
        ),
        contract.LOAD_PATH: _get("What this replica carries now", _answer("One line.", _OBJECT)),
        contract.METRICS_PATH: _get(
            "Prometheus' text", {"200": {"description": "Metrics.", "content": {"text/plain": {"schema": _TEXT}}}}
        ),
    }


def _repository_paths() -> dict[str, Any]:
    """Return what loads and unloads; the path's model need not be loaded, so it is a parameter."""
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    paths = {}
    for verb in ("load", "unload"):
        made = _post(f"{verb.capitalize()} a model", {answers.JSON: {"schema": _OBJECT}}, required=False)["post"]
        refused = {str(status): _ERROR for status in (401, 404)}
        more = {"parameters": [name], "security": [{"token": []}], "responses": made["responses"] | refused}
        paths[f"/v2/repository/models/{{name}}/{verb}"] = {"post": made | more}
    return paths


def _model_paths(prefix: str, model: Model) -> dict[str, Any]:
    name = model.name
    ready = _answer("It answers.", _OBJECT) | {"503": _body("It does not yet.", _OBJECT)}
    paths = {
        prefix: _get(f"Metadata of {name}", _answer("What it takes and gives.", _OBJECT)),
        f"{prefix}/ready": _get(f"Whether {name} answers", ready),
        f"{prefix}/config": _get(f"Configuration of {name} in Triton's words", _answer("It.", _OBJECT)),
        f"{prefix}/stats": _get(f"Statistics of {name} in Triton's words", _answer("They.", _OBJECT)),
        f"{prefix}/infer": _infer(model),
    }
    if model.drift is not None:
        paths[f"{prefix}/drift"] = _get(f"How far {name}'s requests are from its reference", _answer("It.", _OBJECT))
    if model.picture is not None:
        paths[f"{prefix}/{model.picture.way}"] = _picture(name, model.picture.way)
    if model.table is not None:
        rows = {**_OBJECT, "required": ["rows"], "properties": {"rows": {"type": "array"}}}
        paths[f"{prefix}/predict"] = _post(f"Rows of a table through {name}", {answers.JSON: {"schema": rows}})
    return paths


def _infer(model: Model) -> dict[str, Any]:
    inputs = [_input(spec) for spec in model.signature.inputs]
    wanted = {"type": "string", "enum": [spec.name for spec in model.signature.outputs]}
    request = {
        **_OBJECT,
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {
                "type": "array",
                "minItems": len(inputs),
                "maxItems": len(inputs),
                "items": {"anyOf": inputs} if inputs else {},
            },
            "outputs": {
                "type": ["array", "null"],
                "items": {**_OBJECT, "required": ["name"], "properties": {"name": wanted}},
            },
        },
    }
    answer = {
        **_OBJECT,
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"const": model.name},
            "model_version": {"const": model.version},
            "id": _TEXT,
            "outputs": {"type": "array", "items": {"anyOf": [_tensor(spec) for spec in model.signature.outputs]}},
        },
    }
    return _post(f"Tensors through {model.name}", {answers.JSON: {"schema": request}}, answer)


def _input(spec: TensorSpec) -> dict[str, Any]:
    made = _tensor(spec)
    if spec.shape:
        sizes = [_SIZE if size == -1 else {"const": size} for size in spec.shape]
        made["properties"]["shape"] = {**made["properties"]["shape"], "prefixItems": sizes}
    return made


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = {"type": "array", "minItems": len(spec.shape), "maxItems": len(spec.shape), "items": _SIZE}
    element = _element(spec.datatype.name)
    return {
        **_OBJECT,
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "shape": shape,
            "datatype": {"const": spec.datatype.name},
            # Flat, or nested as the shape is.
            "data": {"type": "array", "items": {"anyOf": [element, {"type": "array"}]}},
        },
    }


def _element(datatype: str) -> dict[str, Any]:
    if datatype == "BOOL":
        return {"type": "boolean"}
    if datatype == "BYTES":
        return _TEXT
    if datatype.startswith("INT"):
        half = 2 ** (int(datatype[3:]) - 1)
        return {"type": "integer", "minimum": -half, "maximum": half - 1}
    if datatype.startswith("UINT"):
        return {"type": "integer", "minimum": 0, "maximum": 2 ** int(datatype[4:]) - 1}
    return {"type": "number"}


def _picture(name: str, way: str) -> dict[str, Any]:
    kinds = ("image/jpeg", "image/png", answers.BINARY)
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    made = _post(f"A picture through {name}", content)
    made["post"]["parameters"] = [
        {"name": "confidence", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 1}},
        {"name": "top_k", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 10_000}},
    ]
    if way == "detect":
        made["post"]["responses"]["200"]["content"]["image/png"] = {"schema": {"type": "string", "format": "binary"}}
        made["post"]["parameters"] += [
            {"name": "iou", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 1}},
            {"name": "format", "in": "query", "schema": {"type": "string", "enum": ["json", "png"]}},
        ]
    return made


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": dict(responses)}}


def _post(
    summary: str, content: dict[str, Any], answer: Mapping[str, Any] = _OBJECT, *, required: bool = True
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
