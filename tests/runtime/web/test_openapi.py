"""The document of what is loaded, and schemathesis, which tries every path with what it allows and forbids."""

from __future__ import annotations

import asyncio
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import jsonschema

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

EXAMPLES = 8
PATIENCE = 300.0
# What JSON schema can't say: that `data` has as many elements as `shape`, that each input is there once.
BEYOND_SCHEMA = "positive_data_acceptance"


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


async def test_the_document_says_that_a_token_is_needed(
    serve: Start, mlp: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "token").write_text("t")
    server = await serve(mlp, tokens=str(tmp_path / "token"))
    _, document, _ = await server.call("GET", "/openapi.json", headers={"Authorization": "Bearer t"})
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/v2/health/live"]["get"]["security"] == []
    assert "401" in document["paths"]["/v2/models/m/infer"]["post"]["responses"]


async def test_schemathesis_finds_nothing(serve: Start, logreg: pathlib.Path, tmp_path: pathlib.Path) -> None:
    server = await serve(logreg)
    process = await asyncio.create_subprocess_exec(
        *(str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", f"{server.address}/openapi.json"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color", "--generation-database", "none"),
        *("--exclude-checks", BEYOND_SCHEMA, "--request-timeout", "10", "--phases", "coverage,fuzzing"),
        *("--exclude-path-regex", "/versions/|config|stats"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, output.decode()
    assert server.app.metrics.rejected["internal"] == 0
