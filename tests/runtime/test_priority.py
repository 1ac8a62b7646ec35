"""Priority as clients ask for it: what waits is run in its order, by whichever way it came."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

import grpc

from foresail_runtime import contract
from foresail_runtime.grpc import oip_pb2
from tests.runtime.gate import Gate
from tests.runtime.timing import until

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

INFER = "/inference.GRPCInferenceService/ModelInfer"
PATIENCE = 10.0


async def by_rest(server: Server, number: float, priority: int | None) -> int:
    tensor = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [number] * 32}
    more = {} if priority is None else {"parameters": {"priority": priority}}
    status, _ = await server.infer({"inputs": [tensor], **more})
    return status


async def by_grpc(channel: grpc.aio.Channel, number: float, priority: int | None) -> None:
    tensor = oip_pb2.ModelInferRequest.InferInputTensor(name="input", datatype="FP32", shape=[1, 32])
    raw = struct.pack("<32f", *[number] * 32)
    wish = oip_pb2.ModelInferRequest(model_name="m", inputs=[tensor], raw_input_contents=[raw])
    if priority is not None:
        wish.parameters["priority"].uint64_param = priority
    call = channel.unary_unary(
        INFER, oip_pb2.ModelInferRequest.SerializeToString, oip_pb2.ModelInferResponse.FromString
    )
    await call(wish, timeout=PATIENCE)


async def test_what_waits_runs_by_its_priority_over_rest_and_grpc_alike(
    serve: Callable[..., Any], mlp: pathlib.Path
) -> None:
    server = await serve(mlp, {"batching": contract.Batching(max_size=1)}, grpc_port=0)
    gate = Gate(server)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.app.grpc_port}") as channel:
        asked: list[asyncio.Task[Any]] = [asyncio.create_task(by_rest(server, 0, None))]
        await until(lambda: gate.seen == [0])  # the engine is at work: all others wait
        # None and 0 come after all that have one; the lower number goes first, and of equals the one that came first.
        wishes = ((1, None), (2, 7), (3, 2), (4, 1), (5, 2), (6, 0), (7, 1))
        for count, (number, priority) in enumerate(wishes, start=1):
            way = by_grpc(channel, number, priority) if number % 2 else by_rest(server, number, priority)
            asked.append(asyncio.create_task(way))
            await until(lambda count=count: gate.batcher.queued == count)  # type: ignore[misc]
        gate.gate.set()
        await asyncio.wait_for(asyncio.gather(*asked), PATIENCE)
    assert gate.seen == [0, 4, 7, 3, 5, 2, 1, 6]
