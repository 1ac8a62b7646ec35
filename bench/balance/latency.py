"""Requests that differ in length: what the slow ones do to the others, by kube-proxy and by HAProxy.

The model works off what a request asks for, one request after the other, as one that can't batch does: ten times longer
for a few than for the others, which are small on the wire all the same. Requests come at random (Poisson), at a share
of the rate at which replicas answer when they are asked without a pause. Each replica has a quarter of a core, given to
it in pieces of a millisecond: four slow machines, on two cores that clients, proxies and a control plane share.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import statistics
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from bench.balance.clients import CONNECTIONS, Clients, request, running
from bench.balance.deployed import MODEL

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from bench.balance.deployed import Deployed

ROUNDS: Final = 3
SECONDS: Final = 20.0
WIDTH: Final = 64


@dataclasses.dataclass(frozen=True)
class Mix:
    """How many rounds the many ask for, how many the few, and how few they are."""

    quick: int
    slow: int
    slow_share: float

    def next(self) -> bytes:
        """Return the next request, drawn by chance."""
        return work(self.slow if random.random() < self.slow_share else self.quick)


def work(rounds: int) -> bytes:
    """Return a request that asks for so many rounds."""
    return _REQUESTS.setdefault(
        rounds, request({"name": "rounds", "shape": [1], "datatype": "INT64", "data": [rounds]})
    )


_REQUESTS: Final[dict[int, bytes]] = {}


def save_model(path: pathlib.Path) -> None:
    """Write a model that multiplies a vector by a matrix as often as it is told to."""
    helper, kinds = onnx.helper, onnx.TensorProto
    matrix = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32) / WIDTH
    row = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "matrix"], ["after"]), helper.make_node("Identity", ["go"], ["on"])],
        "round",
        [row("index", kinds.INT64, []), row("go", kinds.BOOL, []), row("state", kinds.FLOAT, [1, WIDTH])],
        [row("on", kinds.BOOL, []), row("after", kinds.FLOAT, [1, WIDTH])],
    )
    nodes = [
        helper.make_node("Squeeze", ["rounds"], ["count"]),
        helper.make_node("Loop", ["count", "", "begin"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
    ]
    constants = [
        onnx.numpy_helper.from_array(matrix, "matrix"),
        onnx.numpy_helper.from_array(np.ones((1, WIDTH), np.float32), "begin"),
    ]
    graph = helper.make_graph(
        nodes, "rounds", [row("rounds", kinds.INT64, [1])], [row("sum", kinds.FLOAT, [])], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), str(path))


def poisson(rate: float) -> Callable[[], float]:
    """Return what gives the next of a client's requests its time: at random, at a mean rate."""
    due = time.perf_counter()

    def when() -> float:
        nonlocal due
        due += random.expovariate(rate)
        return due

    return when


async def each_alone(address: str, asked: bytes, seconds: float) -> float:
    """Return the p50 in seconds of one request after the other, 20 ms between them."""
    clients, latencies = Clients(address), list[float]()
    task = asyncio.create_task(clients.http(lambda: time.perf_counter() + 0.02, latencies, lambda: asked))
    async with running([task]):
        await asyncio.sleep(seconds)
    return statistics.median(latencies)


async def closed_rate(address: str, mix: Mix) -> float:
    """Return how many mixed requests a second replicas answer when all are asked without a pause."""
    clients = Clients(address)
    tasks = [asyncio.create_task(clients.http(lambda: 0.0, [], mix.next)) for _ in range(CONNECTIONS)]
    async with running(tasks):
        await asyncio.sleep(2)
        before = clients.answered
        await asyncio.sleep(SECONDS / 2)
        return (clients.answered - before) / (SECONDS / 2)


async def mixed(address: str, mix: Mix, rate: float) -> tuple[list[float], dict[str, int]]:
    """Return what mixed requests that come at a rate and are answered well took, in seconds, and what failed."""
    clients, latencies = Clients(address), list[float]()
    each = [clients.http(poisson(rate / CONNECTIONS), latencies, mix.next) for _ in range(CONNECTIONS)]
    async with running([asyncio.create_task(one) for one in each]):
        await asyncio.sleep(SECONDS)
    return latencies, dict(clients.failures)


async def latency(deployed: Deployed, mix: Mix, load: float) -> bool:
    """Measure both ways to the same replicas in turn; return whether the bars are met."""
    ways = {"kube-proxy": deployed.address(f"{MODEL}-direct"), "HAProxy": deployed.address(MODEL)}
    single: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, address in ways.items():
            single[name].append(await each_alone(address, work(0), 4) * 1000)
    medians = {name: statistics.median(found) for name, found in single.items()}
    added = medians["HAProxy"] - medians["kube-proxy"]
    print(f"one at a time: p50 {medians}, added {added:.2f} ms (bar 0.5: {'met' if added <= 0.5 else 'MISSED'})")
    most = min([await closed_rate(address, mix) for address in ways.values()])
    tails: dict[str, list[float]] = {name: [] for name in ways}
    failed = 0
    for _ in range(ROUNDS):
        for name, address in ways.items():
            took, failures = await mixed(address, mix, load * most)
            parts = [1000 * one for one in statistics.quantiles(took, n=100)]
            tails[name].append(parts[98])
            failed += sum(failures.values()) if name == "HAProxy" else 0
            print(f"mixed, {load:.0%} of {most:.0f}/s by {name}: {len(took)}, failed: {failures}; ms", end="")
            print(*(f" p{part} {parts[part - 1]:.1f}" for part in (50, 90, 99)), flush=True)
    gain = statistics.median(tails["kube-proxy"]) / statistics.median(tails["HAProxy"])
    print(f"p99 of mixed requests: HAProxy {gain:.1f} times better (bar 2: {'met' if gain >= 2 else 'MISSED'})")
    print(f"failed through HAProxy: {failed} (bar 0: {'MISSED' if failed else 'met'})")
    return added <= 0.5 and gain >= 2 and not failed
