"""A small turn of what `make fuzz` does for minutes: the good input, changed at random; and all that was ever found."""

from __future__ import annotations

import functools
import gzip
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foresail_runtime import settings as runtime_settings
from tests.runtime.fuzz.target import MODELS, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HTTP = "http"
GRPC = "grpc"
MEBIBYTE = 2**20
MOST = 400 * MEBIBYTE
"""Bytes that the server below may take; it takes some 90 before it is asked anything."""
FOUND = {
    "empty lists took thirty times their bytes": (HTTP, lambda: b'{"inputs":[' + b"[]," * 11_000_000 + b"[]]}"),
    "lists in lists took fifty": (HTTP, lambda: b'{"inputs":[' + (b"[" * 100 + b"]" * 100 + b",") * 160_000 + b"0]}"),
    "objects without a name": (HTTP, lambda: b'{"inputs":[' + b'{"":0},' * 4_600_000 + b"{}]}"),
    "a message of empty tensors took ninety bytes for two": (
        GRPC,
        lambda: b"\x0a\x01m" + b"\x2a\x00" * (12 * MEBIBYTE),
    ),
    "one of empty parameters": (GRPC, lambda: b"\x0a\x01m" + b"\x22\x00" * (12 * MEBIBYTE)),
}
"""Bodies of some thirty kilobytes, packed, that ended a server with 1 GiB of memory, by their story."""


class Server(NamedTuple):
    """And how it is asked."""

    process: subprocess.Popen[str]
    http_port: int
    grpc_port: int

    def infer(self, way: str, body: bytes) -> int | grpc.StatusCode:
        """Send it packed; return the status of the answer."""
        if way == HTTP:
            client = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
            client.request("POST", "/v2/models/m/infer", gzip.compress(body), {"Content-Encoding": "gzip"})
            return client.getresponse().status
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", compression=grpc.Compression.Gzip) as channel:
            try:
                channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(body, timeout=60)
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    def most_bytes(self) -> int:
        """Return the most memory that it ever held."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024


@functools.cache
def target() -> Target:
    return Target()


@functools.cache
def seeds() -> tuple[bytes, ...]:
    return tuple(target().seeds())


def test_good_input_of_every_way_is_taken() -> None:
    assert {seed[0] % len(target().ways) for seed in seeds()} == set(range(len(target().ways)))
    assert [(seed[:200], status) for seed in seeds() if (status := target()(seed)) is not None] == []


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server in a process of its own, with the bounds of a memory limit of 1 GiB."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    names = {
        "max_body_bytes": "BODY",
        "max_held_bytes": "HELD",
        "max_parsed_bytes": "PARSED",
        "max_queue_bytes": "QUEUE",
    }
    bounds = runtime_settings.read({}, 2**30)
    environment = {f"FORESAIL_MAX_{name}_BYTES": str(getattr(bounds, field)) for field, name in names.items()}
    options = ["--host", "127.0.0.1", "--http-port", str(ports[0]), "--grpc-port", str(ports[1]), "--name", "m"]
    command = [sys.executable, "-m", "foresail_runtime", "serve", str(MODELS / "mlp.onnx"), *options]
    with subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # it says where it listens once it is ready
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Server(process, *ports)
        process.terminate()


@pytest.mark.parametrize(("way", "make"), FOUND.values(), ids=FOUND)
def test_what_was_found_stays_mended(server: Server, way: str, make: Callable[[], bytes]) -> None:
    body = make()
    assert server.infer(way, body) == (413 if way == HTTP else grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert server.process.poll() is None
    assert server.most_bytes() < MOST


@pytest.mark.filterwarnings("ignore::Warning")  # Pillow's, of broken pictures
@settings(max_examples=150)
@given(st.data())
def test_changed_input_is_answered_or_refused_and_never_a_mistake_of_ours(data: st.DataObject) -> None:
    seed = bytearray(data.draw(st.sampled_from(seeds())))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(1, len(seed)))
        end = data.draw(st.integers(start, min(len(seed), start + 16)))
        seed[start:end] = data.draw(st.binary(max_size=16))
    target()(bytes(seed))
