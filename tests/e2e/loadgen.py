"""Ask a model from several kept connections until told to stop; print one line of JSON with what came back.

Runs inside the cluster, in a pod of the runtime's image, so that the load takes the way that users' takes:
name, Service, pod. SIGTERM, or the end of --seconds, ends it. The file `/tmp/asking` is there from the first answer on.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import pathlib
import signal
import sys
import time
from typing import Any

import aiohttp

BODY: dict[str, Any] = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}
ASKING = pathlib.Path("/tmp/asking")


async def ask(
    session: aiohttp.ClientSession, url: str, pause: float, stop: asyncio.Event, counts: collections.Counter[str]
) -> None:
    """Send one request after the other; anything but 200 is a failure and says what it was."""
    while not stop.is_set():
        try:
            async with session.post(url, json=BODY) as answer:
                text = await answer.text()
                counts["ok" if answer.status == 200 else f"HTTP {answer.status}: {text[:100]}"] += 1
                if answer.status == 200:
                    ASKING.touch()  # a file of no bytes, once a request
                    counts[f"version {json.loads(text).get('model_version')}"] += 1
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            counts[f"{type(error).__name__}: {error}"] += 1
        await asyncio.sleep(pause)


async def call(target: str, model: str, stop: asyncio.Event, counts: collections.Counter[str]) -> None:
    """Make one gRPC call after the other on a channel of its own; anything but OK is a failure."""
    import grpc  # noqa: PLC0415  # takes its time, and not every load has callers

    from foresail_runtime.grpc import oip_pb2  # noqa: PLC0415

    message = oip_pb2.ModelInferRequest(model_name=model)
    tensor = message.inputs.add(name="input", datatype="FP32", shape=[1, 32])
    tensor.contents.fp32_contents.extend([0.5] * 32)
    data = message.SerializeToString()
    async with grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        while not stop.is_set():
            try:
                await infer(data, timeout=30)
                counts["calls"] += 1
            except grpc.aio.AioRpcError as error:
                counts[f"gRPC {error.code().name}: {error.details()}"] += 1
            await asyncio.sleep(0.01)


async def main() -> None:
    """Run the clients to the end and print what they saw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between a client's requests")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--callers", type=int, default=0)
    parser.add_argument("--target", help="host and port of gRPC")
    parser.add_argument("--model")
    wish = parser.parse_args()
    stop, counts = asyncio.Event(), collections.Counter[str]()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.call_later(wish.seconds, stop.set)
    began = time.monotonic()
    # aiohttp repeats an idempotent request on a closed connection by itself; a POST it does not: each loss is seen
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(
            *(ask(session, wish.url, wish.pause, stop, counts) for _ in range(wish.clients)),
            *(call(wish.target, wish.model, stop, counts) for _ in range(wish.callers)),
        )
    sys.stdout.write(json.dumps({"seconds": round(time.monotonic() - began, 1), **counts}) + "\n")


asyncio.run(main())
