"""A real model behind the whole runtime, against `session.run` in a loop with the same threads.

    python bench/runtime/real.py MODEL.onnx [--seconds 5] [--rounds 3] [--connections 4]

Rounds alternate; the medians' ratio is printed. Requests are binary, one row of the model's own shape.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import aiohttp
import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the library is loaded
import onnxruntime as ort

from foresail_runtime.engine import cores, session, warmup


def loop_rate(path: pathlib.Path, seconds: float) -> float:
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores.available()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run
    feed = warmup.example(session.open_engine(path, session.Options()).signature, 1, seed=0)
    run(None, feed)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        run(None, feed)
        count += 1
    return count / (time.perf_counter() - start)


def body(path: pathlib.Path) -> tuple[bytes, dict[str, str]]:
    feed = warmup.example(session.open_engine(path, session.Options()).signature, 1, seed=0)
    inputs, data = [], b""
    for name, array in feed.items():
        kind = {"float32": "FP32", "int64": "INT64"}[array.dtype.name]
        parameters = {"binary_data_size": array.nbytes}
        inputs.append({"name": name, "shape": list(array.shape), "datatype": kind, "parameters": parameters})
        data += np.ascontiguousarray(array).tobytes()
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": inputs}).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


async def served_rate(url: str, path: pathlib.Path, seconds: float, connections: int) -> tuple[float, list[float]]:
    data, headers = body(path)
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def client(http: aiohttp.ClientSession) -> None:
        while (start := time.perf_counter()) < until:
            async with http.post(url, data=data, headers=headers) as response:
                await response.read()
                assert response.status == 200
            latencies.append(time.perf_counter() - start)

    async with aiohttp.ClientSession() as http:
        start = time.perf_counter()
        await asyncio.gather(*[client(http) for _ in range(connections)])
        return len(latencies) / (time.perf_counter() - start), latencies


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    command = ["-m", "foresail_runtime", "serve", str(options.model), "--name", "m", "--http-port", "0"]
    server = subprocess.Popen(  # noqa: ASYNC220  # once, before anything else runs on this loop
        [sys.executable, *command, "--grpc-port", "off"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("serving "))
        url = line.split(" at ")[1].strip() + "/infer"
        loops, served, latencies = [], [], []
        for _ in range(options.rounds):
            loops.append(await asyncio.to_thread(loop_rate, options.model, options.seconds))
            rate, seen = await served_rate(url, options.model, options.seconds, options.connections)
            served.append(rate)
            latencies += seen
    finally:
        server.terminate()
        server.wait(10)
    latencies.sort()
    percentile = {p: latencies[min(len(latencies) - 1, math.ceil(len(latencies) * p / 100))] * 1000 for p in (50, 99)}
    ratio = statistics.median(served) / statistics.median(loops)
    print(f"session.run in a loop: {statistics.median(loops):.1f}/s")
    print(f"served, {options.connections} connections: {statistics.median(served):.1f}/s, {ratio:.3f} of it; "
          f"p50 {percentile[50]:.1f} ms, p99 {percentile[99]:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
