"""Rows by column name over HTTP, on a trained model and on one with an input a column."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import onnx
import orjson
import pytest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

COLUMNS = [f"c{number}" for number in range(9)]


@pytest.fixture
def fraud(logreg: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The trained fraud model with the names of its columns in its metadata."""
    model = onnx.load(str(logreg))
    onnx.helper.set_model_props(model, {"columns": str(COLUMNS)})
    onnx.save(model, str(tmp_path / "fraud.onnx"))
    return tmp_path / "fraud.onnx"


async def test_rows_are_scored_as_their_tensor_is(serve: Callable[..., Any], fraud: pathlib.Path) -> None:
    server = await serve(fraud)
    rows = [[1, -1, 0, 1, 1, 0, -1, 1, 0], [-1, 1, 1, -1, 0, 1, 1, -1, 1]]
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    status, answer, _ = await server.call("POST", "/v2/models/m/predict", json={"rows": named})
    tensor = {"name": "X", "shape": [2, 9], "datatype": "FP32", "data": rows}
    _, expected = await server.infer({"inputs": [tensor]})
    label, probabilities = (output["data"] for output in expected["outputs"])
    assert (status, answer["model_name"], answer["model_version"]) == (200, "m", "1")
    assert [row["label"] for row in answer["rows"]] == label
    flat = [number for row in answer["rows"] for number in row["probabilities"]]
    assert flat == pytest.approx(probabilities, abs=1e-6)


async def test_many_rows_are_answered_packed_if_the_client_takes_it(
    serve: Callable[..., Any], fraud: pathlib.Path
) -> None:
    server = await serve(fraud)
    path, rows = f"{server.address}/v2/models/m/predict", {"rows": [[1] * 9] * 100}
    async with server.client.post(path, json=rows, headers={"Accept-Encoding": "gzip"}) as response:
        packed = await response.read()
    assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert len(orjson.loads(zlib.decompress(packed, 47))["rows"]) == 100


async def test_a_row_that_does_not_fit_is_refused_by_its_number(serve: Callable[..., Any], fraud: pathlib.Path) -> None:
    server = await serve(fraud)
    rows = [dict.fromkeys(COLUMNS, 1), dict.fromkeys(COLUMNS[:-1], 1)]
    status, answer, _ = await server.call("POST", "/v2/models/m/predict", json={"rows": rows})
    assert (status, answer) == (400, {"error": "row 1 lacks 'c8'"})
    status, answer, _ = await server.call("POST", "/v2/models/m/predict", data=b"{")
    assert (status, answer["error"].startswith("the body is not JSON")) == (400, True)


async def test_the_task_makes_a_table_of_a_model_that_names_no_columns(
    serve: Callable[..., Any], logreg: pathlib.Path
) -> None:
    server = await serve(logreg, {"task": "tabular"})
    status, answer, _ = await server.call("POST", "/v2/models/m/predict", json={"rows": [[1] * 9]})
    assert (status, len(answer["rows"])) == (200, 1)


async def test_a_model_of_tensors_says_where_to_send_them(serve: Callable[..., Any], mlp: pathlib.Path) -> None:
    server = await serve(mlp)
    status, answer, _ = await server.call("POST", "/v2/models/m/predict", json={"rows": [[1]]})
    assert (status, "POST tensors to /v2/models/m/infer" in answer["error"]) == (400, True)
    status, _, response = await server.call("GET", "/v2/models/m/predict")
    assert (status, response.headers["Allow"]) == (405, "OPTIONS, POST")


async def test_waiting_rows_count_as_their_tensor_where_it_is_larger_than_their_json(
    serve: Callable[..., Any], fraud: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(fraud)
    batcher = server.app.serving.model("m").batcher
    inner, sizes = batcher.infer, []

    async def noted(request: Any, size: int, timeout_seconds: float) -> Any:
        sizes.append(size)
        return await inner(request, size, timeout_seconds)

    monkeypatch.setattr(batcher, "infer", noted)
    body = b'{"rows": [%s]}' % b",".join([b"[0,0,0,0,0,0,0,0,0]"] * 100)
    assert (await server.call("POST", "/v2/models/m/predict", data=body))[0] == 200
    assert sizes == [100 * 9 * 4]
    assert sizes[0] > len(body)
