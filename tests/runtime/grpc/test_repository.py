"""Versions, and loading and unloading, over gRPC."""

from __future__ import annotations

import pathlib
import shutil
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from foresail_runtime import settings
from foresail_runtime.grpc import oip_pb2
from tests.runtime.conftest import Server, running
from tests.runtime.grpc import conftest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MLP = pathlib.Path(__file__).parents[1] / "models" / "mlp.onnx"
KEY = (("authorization", "Bearer let-me"),)


class Calls:
    """A server of a folder with two versions of one model, and a channel to it."""

    def __init__(self, server: Server, root: pathlib.Path, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.root = root
        self.channel = channel

    async def __call__(self, name: str, message: Any, metadata: Any = None) -> Any:
        method = oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
        answer = getattr(oip_pb2, method.output_type.name)
        made = self.channel.unary_unary(
            f"/{conftest.SERVICE}/{name}", type(message).SerializeToString, answer.FromString
        )
        return await made(message, metadata=metadata, timeout=20)

    async def infer(self, version: str) -> str:
        message = oip_pb2.ModelInferRequest(model_name="m", model_version=version)
        message.inputs.add(name="input", datatype="FP32", shape=[1, 32]).contents.fp32_contents.extend([0.5] * 32)
        return str((await self("ModelInfer", message)).model_version)

    async def index(self, *, ready: bool = False) -> list[tuple[str, str, str, str]]:
        found = await self("RepositoryIndex", oip_pb2.RepositoryIndexRequest(ready=ready))
        return [(entry.name, entry.version, entry.state, entry.reason) for entry in found.models]


@pytest.fixture
async def calls(tmp_path: pathlib.Path) -> AsyncIterator[Calls]:
    root, tokens = tmp_path / "models", tmp_path / "tokens"
    tokens.write_text("let-me\n")
    for version in ("1", "2"):
        (root / "m" / version).mkdir(parents=True)
        shutil.copy(MLP, root / "m" / version / "model.onnx")
    (root / "m" / "foresail.json").write_text('{"versions": "all", "labels": {"stable": "1"}}')
    chosen = settings.Settings(
        host="127.0.0.1", http_port=0, grpc_port=0, shutdown_seconds=2.0, repository_tokens=str(tokens)
    )
    async with (
        running(chosen, root) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.app.grpc_port}") as channel,
    ):
        yield Calls(server, root, channel)


async def test_a_version_or_a_label_may_be_asked_for(calls: Calls) -> None:
    assert [await calls.infer(version) for version in ("1", "2", "stable", "")] == ["1", "2", "1", "2"]
    found = await calls("ModelMetadata", oip_pb2.ModelMetadataRequest(name="m", version="stable"))
    assert list(found.versions) == ["1", "2"]
    ready = await calls("ModelReady", oip_pb2.ModelReadyRequest(name="m", version="3"))
    assert not ready.ready
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.infer("3")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "model 'm' has no version '3'; it has '1', '2' and the labels 'stable'"


async def test_models_are_loaded_and_unloaded_by_who_has_the_token(calls: Calls) -> None:
    wish = oip_pb2.RepositoryModelUnloadRequest(model_name="m")
    for metadata in (None, (("authorization", "Bearer wrong"),)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calls("RepositoryModelUnload", wish, metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await calls("RepositoryModelUnload", wish, (("foresail-repository-token", "let-me"),))
    assert await calls.index(ready=True) == []
    assert await calls.index() == [("m", version, "UNAVAILABLE", "unloaded") for version in ("1", "2")]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.infer("")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await calls("RepositoryModelLoad", oip_pb2.RepositoryModelLoadRequest(model_name="m"), KEY)
    assert await calls.infer("") == "2"


async def test_parameters_of_an_unload_are_those_of_triton(calls: Calls) -> None:
    for name in ("force", "unload_dependents"):
        wish = oip_pb2.RepositoryModelUnloadRequest(model_name="m")
        wish.parameters[name].string_param = "yes"
        with pytest.raises(grpc.aio.AioRpcError, match=name) as caught:
            await calls("RepositoryModelUnload", wish, KEY)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await calls.infer("") == "2"
    wish = oip_pb2.RepositoryModelUnloadRequest(model_name="m")
    wish.parameters["unload_dependents"].bool_param = True
    await calls("RepositoryModelUnload", wish, KEY)
    assert await calls.index(ready=True) == []


async def test_a_load_that_fails_says_why(calls: Calls) -> None:
    (calls.root / "m" / "3").mkdir()
    (calls.root / "m" / "3" / "model.onnx").write_bytes(b"none")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls("RepositoryModelLoad", oip_pb2.RepositoryModelLoadRequest(model_name="m"), KEY)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "version '3' was not loaded" in str(caught.value.details())
    assert await calls.infer("") == "2"
    wish = oip_pb2.RepositoryModelLoadRequest(model_name="m")
    wish.parameters["config"].string_param = "{}"
    with pytest.raises(grpc.aio.AioRpcError, match="parameters of a load are not offered"):
        await calls("RepositoryModelLoad", wish, KEY)


@pytest.mark.parametrize(
    "name", ["LogSettings", "TraceSetting", "SystemSharedMemoryStatus", "CudaSharedMemoryRegister"]
)
async def test_what_is_not_offered_says_so_and_what_is_instead(calls: Calls, name: str) -> None:
    made = calls.channel.unary_unary(f"/{conftest.SERVICE}/{name}")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert any(words in str(caught.value.details()) for words in ("when the server starts", "not offered"))
