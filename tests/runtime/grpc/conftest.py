"""A gRPC server on a loopback port with a model that echoes, and a client that shares no code with it but grpcio."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from foresail_runtime import errors, health, metrics, serving, tensors
from foresail_runtime.batching import batcher, plan
from foresail_runtime.grpc import oip_pb2, server
from foresail_runtime.model import Model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

MAX_MESSAGE_BYTES = 1_000_000
SERVICE = "inference.GRPCInferenceService"


class Echo:
    """Answers each input under its own name; can be told to wait, or to fail."""

    output_names = ("x", "s")

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.runs = 0
        self.failure: Exception | None = None

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        assert self.go.wait(10)
        self.runs += 1
        if self.failure is not None:
            raise self.failure
        return [inputs[name] for name in outputs]


SPECS = (
    tensors.TensorSpec("x", tensors.FP32, (-1, 2)),
    tensors.TensorSpec("s", tensors.BYTES, (-1,)),
)


class Bench:
    """Everything a test of the server touches."""

    def __init__(self, engine: Echo, door: serving.Serving, running: server.GrpcServer, port: int) -> None:
        self.engine = engine
        self.door = door
        self.server = running
        self.port = port
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    def call(self, name: str, channel: grpc.aio.Channel | None = None) -> Callable[..., Any]:
        method = oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
        request, answer = getattr(oip_pb2, method.input_type.name), getattr(oip_pb2, method.output_type.name)
        opened = channel or self.channel
        make = opened.stream_stream if method.client_streaming else opened.unary_unary
        made: Callable[..., Any] = make(f"/{SERVICE}/{name}", request.SerializeToString, answer.FromString)
        return made

    @property
    def model(self) -> Model:
        return self.door.model("echo")


def make_model(engine: Echo, door: serving.Serving, executor: concurrent.futures.Executor, queue_count: int) -> Model:
    counts = door.metrics.model("echo", "1", ("CPUExecutionProvider",))
    limits = plan.Limits(merge_rows=8, split_rows=64, queue_count=queue_count, queue_bytes=10_000_000)
    rows = batcher.Batcher(engine, limits, counts, batched=True, inline=False, executor=executor)
    info = tensors.ModelInfo("echo", ("1",), tensors.Signature(SPECS, SPECS), properties={"task": "tensors"})
    return Model(info, rows, counts, timeout_seconds=10.0, max_batch_size=8)


@pytest.fixture
def queue_count() -> int:
    """How many requests may wait; a test that needs more parametrizes it."""
    return 2


@pytest.fixture
async def bench(queue_count: int) -> AsyncIterator[Bench]:
    engine = Echo()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        door = serving.Serving(health.Health(), metrics.Metrics(), executor)
        door.add(make_model(engine, door, executor, queue_count))
        door.health.move(health.State.READY)
        running = server.GrpcServer(door, "127.0.0.1", 0, MAX_MESSAGE_BYTES)
        made = Bench(engine, door, running, await running.start())
        yield made
        engine.go.set()
        await made.channel.close()
        await running.stop(5)
        made.model.batcher.close(errors.NotReady("the test is over"))


def request(rows: int = 1, **fields: Any) -> oip_pb2.ModelInferRequest:
    """A typed request of the echoing model."""
    message = oip_pb2.ModelInferRequest(model_name="echo", **fields)
    first = message.inputs.add(name="x", datatype="FP32", shape=[rows, 2])
    first.contents.fp32_contents.extend([1.5, -2.0] * rows)
    second = message.inputs.add(name="s", datatype="BYTES", shape=[rows])
    second.contents.bytes_contents.extend([b"\xff\x00a"] * rows)
    return message


@pytest.fixture
def make_request() -> Callable[..., oip_pb2.ModelInferRequest]:
    return request
