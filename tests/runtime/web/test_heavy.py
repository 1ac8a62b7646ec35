"""Text and messages that would take more memory than there is are refused before they are parsed, in words."""

from __future__ import annotations

import asyncio
import gzip
import io
from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest

from foresail_runtime import settings
from foresail_runtime.codec import rest
from foresail_runtime.grpc import oip_pb2
from tests.runtime.conftest import running

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

LISTS = b'{"inputs":[' + b",".join([b"[]"] * 500_000) + b"]}"
PACKED = {"Content-Encoding": "gzip"}
MEBIBYTE = 2**20


async def post(server: Server, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    status, document, _ = await server.call("POST", f"/v2/{path}", data=io.BytesIO(body), headers=headers or {})
    return status, document


def floats(count: int) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [count // 2, 2], "datatype": "FP32", "data": [0.25] * count}]}


@pytest.mark.parametrize("body", [LISTS, gzip.compress(LISTS)], ids=["plain", "packed"])
async def test_json_that_would_take_more_is_not_parsed(
    serve: Callable[..., Any], identity: Callable[..., pathlib.Path], monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    server = await serve(identity(), max_parsed_bytes=16 * MEBIBYTE)
    headers = PACKED if body[:1] != b"{" else {}
    with monkeypatch.context() as patch:
        patch.setattr(rest, "orjson", None)  # who parses fails
        status, document = await post(server, "models/m/infer", body, headers)
    assert status == 413
    assert "FORESAIL_MAX_PARSED_BYTES" in document["error"]
    assert "send tensors as binary data" in document["error"]
    assert server.app.metrics.rejected["too_large"] == 1


async def test_good_json_goes_on_to_be_read_and_several_at_a_time_take_turns(
    serve: Callable[..., Any], identity: Callable[..., pathlib.Path]
) -> None:
    server = await serve(identity(), max_parsed_bytes=20 * MEBIBYTE)
    body = orjson.dumps(floats(300_000))
    assert len(body) > MEBIBYTE
    answers = await asyncio.gather(*(post(server, "models/m/infer", body) for _ in range(4)))
    assert [(status, document["outputs"][0]["data"]) for status, document in answers] == [(200, [0.25] * 300_000)] * 4


async def test_the_head_of_a_binary_request_is_json_too(
    serve: Callable[..., Any], identity: Callable[..., pathlib.Path]
) -> None:
    server = await serve(identity(), max_parsed_bytes=16 * MEBIBYTE)
    headers = {"Inference-Header-Content-Length": str(len(LISTS))}
    assert (await post(server, "models/m/infer", LISTS + bytes(8), headers))[0] == 413


async def test_rows_that_would_take_more_are_refused(serve: Callable[..., Any], logreg: pathlib.Path) -> None:
    server = await serve(logreg, {"task": "tabular"}, max_parsed_bytes=16 * MEBIBYTE)
    rows = b'{"rows":[' + b",".join([b"[]"] * 500_000) + b"]}"
    status, document = await post(server, "models/m/predict", rows)
    assert status == 413
    assert document["error"].endswith("send fewer rows a request")


async def test_calls_that_say_a_word_or_two_take_no_long_document(tmp_path: pathlib.Path, mlp: pathlib.Path) -> None:
    folder = tmp_path / "models" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(mlp.read_bytes())
    (tmp_path / "tokens").write_text("t\n")
    chosen = settings.Settings(
        host="127.0.0.1", http_port=0, grpc_port=None, repository_tokens=str(tmp_path / "tokens"), shutdown_seconds=2.0
    )
    async with running(chosen, tmp_path / "models") as server:
        for path in ("index", "models/m/load", "models/m/unload"):
            for body, more in ((LISTS, {}), (gzip.compress(LISTS), PACKED)):
                headers = {"Authorization": "Bearer t", **more}
                status, document = await post(server, f"repository/{path}", body, headers)
                assert (status, document) == (413, {"error": "the body of this call has at most 65536 bytes"})


async def test_a_message_that_would_take_more_is_refused_and_a_good_one_of_that_size_is_not(
    serve: Callable[..., Any], identity: Callable[..., pathlib.Path]
) -> None:
    server = await serve(identity(), grpc_port=0, max_parsed_bytes=64 * MEBIBYTE)
    target, size = f"127.0.0.1:{server.app.grpc_port}", ("grpc.max_receive_message_length", 2**26)
    async with grpc.aio.insecure_channel(target, options=[size]) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        short = channel.unary_unary("/inference.GRPCInferenceService/RepositoryIndex")
        for data, words in (
            (b"\x0a\x01m" + b"\x2a\x00" * MEBIBYTE, "more than 65536 fields"),
            (_typed(3_000_000).SerializeToString(), "FORESAIL_MAX_PARSED_BYTES"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(data)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert words in str(refused.value.details())
        for count in (500_000, 1_000_000):  # the second takes a turn
            answer = oip_pb2.ModelInferResponse.FromString(await call(_typed(count).SerializeToString()))
            assert answer.outputs[0].contents.fp32_contents == [0.25] * count
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await short(b"\x3a\x00" * 2**16)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def _typed(count: int) -> oip_pb2.ModelInferRequest:
    made = oip_pb2.ModelInferRequest(model_name="m")
    made.inputs.add(name="x", datatype="FP32", shape=[count // 2, 2])
    made.inputs[0].contents.fp32_contents.extend([0.25] * count)
    return made
