"""The document of what is loaded, and schemathesis, which tries every path with what it allows and forbids."""

from __future__ import annotations

import asyncio
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import jsonschema
import onnx
import pytest

from foresail_runtime import settings
from tests.runtime.conftest import running, save_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

EXAMPLES = 8
PATIENCE = 300.0
PICTURES = pathlib.Path(__file__).parents[2] / "pictures"
# What a JSON schema can't say: that `data` has as many elements as `shape`, that bytes are a picture, and what a model
# makes of missing numbers.
BEYOND_SCHEMA = """
[[operations]]
include-path-regex = "/(infer|predict|detect)$"
checks.positive_data_acceptance.enabled = false
"""
PICTURE_KINDS = {"image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "application/octet-stream"}
GOOD: dict[str, Any] = {
    "inputs": [
        {"name": "a", "shape": [2, 3], "datatype": "FP32", "data": [0.5] * 6},
        {"name": "b", "shape": [2, 1], "datatype": "INT8", "data": [[1], [2]]},
    ]
}


@pytest.fixture
def models(tmp_path: pathlib.Path, logreg: pathlib.Path) -> pathlib.Path:
    """A folder of models: one with two inputs, a table with names of columns, and a detector of always the same box."""
    root = tmp_path / "models"
    for name in ("pair", "table", "boxes"):
        (root / name / "1").mkdir(parents=True)
    kind, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8
    nodes = [onnx.helper.make_node("Cast", ["b"], ["c"], to=kind), onnx.helper.make_node("Add", ["a", "c"], ["y"])]
    inputs = {"a": (kind, ("N", 3)), "b": (whole, ("N", 1))}
    save_model(root / "pair" / "1" / "model.onnx", nodes, inputs, {"y": (kind, ("N", 3))})
    table = onnx.load(str(logreg))
    onnx.helper.set_model_props(table, {"columns": str([f"c{number}" for number in range(9)])})
    onnx.save(table, str(root / "table" / "1" / "model.onnx"))
    box = onnx.helper.make_tensor("value", kind, [1, 1, 6], [2.0, 2.0, 20.0, 20.0, 0.9, 0.0])
    nodes = [
        onnx.helper.make_node("Constant", [], ["box"], value=box),
        onnx.helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        onnx.helper.make_node("Sub", ["mean", "mean"], ["nothing"]),
        onnx.helper.make_node("Add", ["box", "nothing"], ["y"]),
    ]
    picture, found = {"images": (kind, (1, 3, 32, 32))}, {"y": (kind, (1, 1, 6))}
    save_model(root / "boxes" / "1" / "model.onnx", nodes, picture, found, names="{0: 'cat', 1: 'dog'}")
    (root / "boxes" / "foresail.json").write_text('{"task": "object-detection"}')
    return root


@pytest.fixture
async def server(models: pathlib.Path) -> AsyncIterator[Server]:
    chosen = settings.Settings(host="127.0.0.1", http_port=0, grpc_port=None, shutdown_seconds=2.0)
    async with running(chosen, models) as made:
        yield made


async def operation(server: Server, path: str) -> dict[str, Any]:
    _, document, _ = await server.call("GET", "/openapi.json")
    found: dict[str, Any] = document["paths"][path]["post"]
    return found


def validator(content: dict[str, Any], kind: str = "application/json") -> jsonschema.Draft202012Validator:
    schema = content["content"][kind]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


async def test_the_document_has_the_models_tensors(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp)
    status, document, _ = await server.call("GET", "/openapi.json")
    assert status == 200
    schema = document["paths"]["/v2/models/m/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    good = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}
    jsonschema.Draft202012Validator(schema).validate(good)
    for broken in (
        {"name": "other"},
        {"shape": [1, 31]},
        {"shape": [32]},
        {"datatype": "FP64"},
        {"data": ["a"]},
    ):
        tensor: dict[str, Any] = good["inputs"][0] | broken
        assert not jsonschema.Draft202012Validator(schema).is_valid({"inputs": [tensor]}), broken
        assert (await server.infer({"inputs": [tensor]}))[0] == 400
    assert "/v2/models/m/versions/1/infer" in document["paths"]
    assert "security" not in document


CHANGES: dict[str, tuple[bool, dict[str, Any]]] = {
    "as it is": (True, {}),
    "the other order": (True, {"inputs": GOOD["inputs"][::-1]}),
    "an input twice": (False, {"inputs": [GOOD["inputs"][0]] * 2}),
    "an input too few": (False, {"inputs": GOOD["inputs"][:1]}),
    "a null among numbers": (False, {"inputs": [GOOD["inputs"][0] | {"data": [0.5] * 5 + [None]}, GOOD["inputs"][1]]}),
    "nested": (True, {"inputs": [GOOD["inputs"][0] | {"data": [[1, 2, 3], [4, 5, 6]]}, GOOD["inputs"][1]]}),
    "a null, nested": (False, {"inputs": [GOOD["inputs"][0] | {"data": [[1, 2, 3], [4, 5, None]]}, GOOD["inputs"][1]]}),
    "nested too deep": (False, {"inputs": [GOOD["inputs"][0], GOOD["inputs"][1] | {"data": [[[1]], [[2]]]}]}),
    "the largest number": (True, {"inputs": [GOOD["inputs"][0] | {"data": [3.4028235e38] * 6}, GOOD["inputs"][1]]}),
    "too large a number": (False, {"inputs": [GOOD["inputs"][0] | {"data": [1e39] * 6}, GOOD["inputs"][1]]}),
    "parameters": (True, {"parameters": {"priority": 1, "timeout": 10**7, "binary_data_output": False, "own": "x"}}),
    "no parameters": (True, {"parameters": None}),
    "a time that is false": (False, {"parameters": {"timeout": False}}),
    "a priority that is a text": (False, {"parameters": {"priority": "high"}}),
    "a parameter that is a list": (False, {"parameters": {"own": []}}),
    "an output": (True, {"outputs": [{"name": "y", "parameters": {"binary_data": False}}]}),
    "classes of an output": (False, {"outputs": [{"name": "y", "parameters": {"classification": 2}}]}),
    "an output that there is not": (False, {"outputs": [{"name": "z"}]}),
}


async def test_the_document_allows_what_the_server_takes_of_tensors(server: Server) -> None:
    schema = validator((await operation(server, "/v2/models/pair/infer"))["requestBody"])
    for story, (is_good, change) in CHANGES.items():
        body = GOOD | change
        assert schema.is_valid(body) == is_good, story
        assert (await server.infer(body, "pair"))[0] == (200 if is_good else 400), story


async def test_the_document_has_every_form_of_a_table(server: Server) -> None:
    schema = validator((await operation(server, "/v2/models/table/predict"))["requestBody"])
    names = [f"c{number}" for number in range(9)]
    for is_good, body in (
        (True, {"rows": [dict.fromkeys(names, 1)]}),
        (True, {"rows": [[1] * 9] * 2}),
        (True, {"columns": names[::-1], "data": [[1] * 9]}),
        (False, {"rows": [dict.fromkeys(names[1:], 1)]}),
        (False, {"rows": [[1] * 8]}),
        (False, {"rows": []}),
        (False, {"columns": names[:-1], "data": [[1] * 8]}),
    ):
        assert schema.is_valid(body) == is_good, body
        assert (await server.call("POST", "/v2/models/table/predict", json=body))[0] == (200 if is_good else 400), body


async def test_the_document_has_every_way_to_send_a_picture_and_its_options(server: Server) -> None:
    path = "/v2/models/boxes/detect"
    found = await operation(server, path)
    assert found["requestBody"]["content"].keys() == PICTURE_KINDS | {"multipart/form-data"}
    told = {parameter["name"] for parameter in found["parameters"]}
    assert told == {"confidence", "top_k", "classes", "iou", "format"}  # masks: this model has none
    form = found["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert (form["required"], set(form["properties"])) == (["image"], told | {"image"})
    sent = aiohttp.FormData({"confidence": "0.5", "classes": "cat"})
    sent.add_field("image", (PICTURES / "chelsea.png").read_bytes(), filename="chelsea.png")
    assert (await server.call("POST", path, data=sent))[0] == 200


async def test_the_document_says_that_a_token_is_needed(
    serve: Start, mlp: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "token").write_text("t")
    server = await serve(mlp, tokens=str(tmp_path / "token"))
    _, document, _ = await server.call("GET", "/openapi.json", headers={"Authorization": "Bearer t"})
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/v2/health/live"]["get"]["security"] == []
    assert "401" in document["paths"]["/v2/models/m/infer"]["post"]["responses"]


async def test_schemathesis_finds_nothing(server: Server, tmp_path: pathlib.Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(BEYOND_SCHEMA)
    process = await asyncio.create_subprocess_exec(
        *(str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", f"{server.address}/openapi.json"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color", "--generation-database", "none"),
        *("--request-timeout", "10", "--phases", "coverage,fuzzing"),
        *("--exclude-path-regex", "/versions/|config|/models/(?!pair).*/(stats|ready|infer)"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, output.decode()
    assert server.app.metrics.rejected["internal"] == 0
    for name, way in (("pair", "infer"), ("table", "predict")):
        assert server.app.serving.model(name).metrics.outcomes[way, 200] > 10
