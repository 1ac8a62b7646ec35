"""Two servers as a user starts them, and a way to run a client's program against them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import selectors
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.clients import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAMS = pathlib.Path(__file__).parent / "programs"
MLP = environment.ROOT / "tests/runtime/models/mlp.onnx"
START_SECONDS = 60.0
PROGRAM_SECONDS = 300.0
TYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}


@dataclasses.dataclass(frozen=True)
class Server:
    """Where one model is served."""

    http: str
    """host:port"""
    grpc: str


def write_echo(path: pathlib.Path) -> None:
    """Write a model that gives back an input of each datatype, `fp32` as `fp32_out`."""
    values = [
        (
            helper.make_tensor_value_info(name, kind, ["batch", 2]),
            helper.make_tensor_value_info(f"{name}_out", kind, ["batch", 2]),
        )
        for name, kind in TYPES.items()
    ]
    nodes = [helper.make_node("Identity", [given.name], [got.name]) for given, got in values]
    graph = helper.make_graph(nodes, "echo", [given for given, _ in values], [got for _, got in values])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="session")
def mlp() -> Iterator[Server]:
    """A model of 32 numbers in and 8 out, named mlp."""
    with Running(MLP) as server:
        yield server


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model that gives back its inputs, one of each datatype, named echo."""
    path = tmp_path_factory.mktemp("models") / "echo.onnx"
    write_echo(path)
    with Running(path) as server:
        yield server


class Running:
    """`foresail serve MODEL` in a process of its own, ended with the context."""

    def __init__(self, model: pathlib.Path, **environment: str) -> None:
        self._environment = environment
        self._words = [sys.executable, "-m", "foresail_runtime", "serve", str(model), "--http-port=0", "--grpc-port=0"]

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            self._words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment}
        )
        text = self._read_until(b"gRPC at ")
        http = re.search(r"at http://([^/]+)/", text)
        grpc = re.search(r"gRPC at (\S+)", text)
        assert http, text
        assert grpc, text
        return Server(http[1], grpc[1])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(30) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read_until(self, words: bytes) -> str:
        assert self._process.stdout is not None
        end = time.monotonic() + START_SECONDS
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while words not in text or not text.endswith(b"\n"):
                assert selector.select(end - time.monotonic()), f"the server did not start: {text.decode()}"
                part = os.read(self._process.stdout.fileno(), 65536)
                assert part, f"the server ended: {text.decode()}"
                text += part
        return text.decode()


@pytest.fixture
def run_client() -> Callable[..., Any]:
    """Run a program with the interpreter of a lock's environment; what it prints is JSON, unless it failed."""

    def run(lock: str, program: str, *arguments: str) -> Any:
        words = [str(environment.python(lock)), str(PROGRAMS / program), *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    return run
