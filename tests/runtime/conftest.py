"""Models of one behaviour each, and a whole server on a loopback port in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any

import aiohttp
import onnx
import pytest

from foresail_runtime import app, contract, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "models"
EXAMPLES = HERE.parents[1] / "examples"
FLOAT = onnx.TensorProto.FLOAT


@pytest.fixture(scope="session")
def mlp() -> pathlib.Path:
    return MODELS / "mlp.onnx"


@pytest.fixture(scope="session")
def logreg() -> pathlib.Path:
    return MODELS / "phishing_logreg.onnx"


@pytest.fixture(scope="session")
def nanodet() -> pathlib.Path:
    return EXAMPLES / "03-retail-shelf" / "models" / "nanodet_g_416.onnx"


def save_model(
    path: pathlib.Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    outputs: Mapping[str, tuple[int, Sequence[int | str]]],
    **metadata: str,
) -> pathlib.Path:
    """Write a model; `inputs` and `outputs` are name → (element type, shape)."""
    made = [
        [onnx.helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in side.items()]
        for side in (inputs, outputs)
    ]
    graph = onnx.helper.make_graph(list(nodes), "test", made[0], made[1])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def identity(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Make a model that answers its input `x` as `y`."""

    def make(kind: int = FLOAT, shape: Sequence[int | str] = ("N", 2)) -> pathlib.Path:
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        return save_model(tmp_path / f"identity-{kind}.onnx", [node], {"x": (kind, shape)}, {"y": (kind, shape)})

    return make


@dataclasses.dataclass
class Server:
    """A running server and an HTTP client of it."""

    app: app.App
    client: aiohttp.ClientSession
    task: asyncio.Task[int]

    @property
    def port(self) -> int:
        return self.app.http_port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Return status, decoded JSON (None for another body) and the response."""
        async with self.client.request(method, self.address + path, **options) as response:
            body = await response.read()
            document = None
            if response.content_type == "application/json":
                document = await response.json()
            assert body or not document
            return response.status, document, response

    async def infer(self, body: Any, name: str = "m", **options: Any) -> tuple[int, Any]:
        how = {"data": body} if isinstance(body, bytes | str) else {"json": body}
        status, document, _ = await self.call("POST", f"/v2/models/{name}/infer", **how, **options)
        return status, document


@pytest.fixture
def access_lines(capsys: pytest.CaptureFixture[str]) -> Callable[[Server], list[dict[str, Any]]]:
    """Return what a server's access log says since the last look; it has to write JSON."""

    def read(server: Server) -> list[dict[str, Any]]:
        server.app.access.flush()
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
        return [line for line in lines if line["logger"] == "foresail.access"]

    return read


@pytest.fixture
async def serve(tmp_path: pathlib.Path) -> AsyncIterator[Callable[..., Any]]:
    """Start servers: `await serve(path, name=…, **settings)`; they are ready when it returns, and end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(path: pathlib.Path, description: dict[str, Any] | None = None, **chosen: Any) -> Server:
            wanted = {"name": "m", "uri": path.as_uri(), "path": str(path), **(description or {})}
            return await stack.enter_async_context(
                running(
                    settings.Settings(
                        **{
                            "host": "127.0.0.1",
                            "http_port": 0,
                            "grpc_port": None,
                            "download_folder": str(tmp_path / "downloads"),
                            "shutdown_seconds": 2.0,
                            **chosen,
                        }
                    ),
                    contract.ModelDescription(**wanted),
                )
            )

        yield start


@contextlib.asynccontextmanager
async def running(chosen: settings.Settings, source: contract.ModelDescription | pathlib.Path) -> AsyncIterator[Server]:
    ready = asyncio.Event()
    made = app.App(chosen, source, lambda _: ready.set())
    task = asyncio.create_task(made.run())
    waiter = asyncio.create_task(ready.wait())
    await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED, timeout=30)
    waiter.cancel()
    if task.done():
        raise AssertionError(f"the server ended with {task.result()}: {made.health.status}")
    async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as client:
        yield Server(made, client, task)
        made.stop()
        await client.close()
        assert await asyncio.wait_for(task, 10) == 0
