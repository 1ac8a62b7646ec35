"""Requests of the busiest replica over the mean: four replicas, and just after two became four."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pathlib
import re
import statistics
import time
import urllib.request
from typing import TYPE_CHECKING, Final

from bench.balance.clients import CONNECTIONS, PAUSE_SECONDS, Clients, request, running
from bench.balance.deployed import MODEL, REPLICAS
from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.balance.deployed import Deployed

FILE: Final = pathlib.Path(__file__).parents[2] / "tests/runtime/models/mlp.onnx"
WINDOW_SECONDS: Final = 10.0
_COUNTED: Final = re.compile(r'^foresail_requests_total\{.*way="(\w+)".*\} (\S+)$', re.MULTILINE)
ROW: Final = request({"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32})


def message() -> bytes:
    """Return the same request for gRPC."""
    made = oip_pb2.ModelInferRequest(model_name=MODEL)
    made.inputs.add(name="input", datatype="FP32", shape=[1, 32]).contents.fp32_contents.extend([0.5] * 32)
    return made.SerializeToString()


@contextlib.asynccontextmanager
async def both(address: str) -> AsyncIterator[Clients]:
    """Keep 64 HTTP connections and 64 gRPC channels busy."""
    clients = Clients(address)

    def soon() -> float:
        return time.perf_counter() + PAUSE_SECONDS

    data = message()
    tasks = [asyncio.create_task(clients.http(soon, [], lambda: ROW)) for _ in range(CONNECTIONS)]
    tasks += [asyncio.create_task(clients.grpc(data)) for _ in range(CONNECTIONS)]
    async with running(tasks):
        yield clients


def counts(replicas: list[str]) -> dict[str, list[float]]:
    """Return the requests that each replica has answered, by protocol."""
    found: dict[str, list[float]] = {"http": [], "grpc": []}
    for address in replicas:
        with urllib.request.urlopen(f"http://{address}:8080/metrics", timeout=5) as answer:
            by_way = dict.fromkeys(found, 0.0)
            for way, number in _COUNTED.findall(answer.read().decode()):
                by_way["grpc" if way == "grpc" else "http"] += float(number)
        for protocol, number in by_way.items():
            found[protocol].append(number)
    return found


async def evenness(replicas: list[str]) -> dict[str, tuple[float, float]]:
    """Return busiest/mean in the first window and in the second one, by protocol."""
    seen = [await asyncio.to_thread(counts, replicas)]
    for _ in range(2):
        await asyncio.sleep(WINDOW_SECONDS)
        seen.append(await asyncio.to_thread(counts, replicas))
    result = {}
    for protocol in seen[0]:
        ratios = []
        for before, after in itertools.pairwise(seen):
            done = [late - early for early, late in zip(before[protocol], after[protocol], strict=True)]
            ratios.append(max(done) / statistics.mean(done))
        result[protocol] = (ratios[0], ratios[1])
    return result


async def spread(deployed: Deployed, name: str, service: str, bar: float | None) -> bool:
    """Measure against four replicas, and just after two became four."""
    good = True
    for situation in ("4 replicas", "2 to 4"):
        if situation == "2 to 4":
            await asyncio.to_thread(deployed.scale, 2)
        async with both(deployed.address(service)) as clients:
            if situation == "2 to 4":
                await asyncio.sleep(2)
                await asyncio.to_thread(deployed.scale, REPLICAS)
            measured = await evenness(deployed.replicas())
        for protocol, (first, second) in measured.items():
            verdict = "" if bar is None else f" (bar {bar}: {'met' if second <= bar else 'MISSED'})"
            good = good and (bar is None or second <= bar)
            print(
                f"{name:18} {situation:10} {protocol:4} busiest/mean {first:.2f} in the first 10 s, "
                f"{second:.2f} in the next{verdict}; {clients.answered} answered, "
                f"failed: {dict(clients.failures)}{'' if not clients.failures or bar is None else ' (bar 0: MISSED)'}",
                flush=True,
            )
            good = good and (bar is None or not clients.failures)
    return good
