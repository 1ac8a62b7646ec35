"""A small model over gRPC, against a bare grpc.aio handler that runs it inline: calls a second at 1, 8, 32 in flight.

The client, grpcio too, works as hard as the server and on the same cores: the server's CPU a call says more.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np
import uvloop

from bench.runtime import report, requests, servers, wrk
from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    import argparse

    from bench.runtime.servers import Server

IN_FLIGHT: Final = (1, 8, 32)
BAR: Final = 0.8
_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"


def message() -> bytes:
    """Return one row as a client sends it."""
    made = oip_pb2.ModelInferRequest(model_name="mlp")
    made.inputs.add(name="input", datatype="FP32", shape=[1, 32])
    made.raw_input_contents.append(requests.rows(1).tobytes())
    return made.SerializeToString()


def load(server: Server, in_flight: int, seconds: float) -> wrk.Result:
    """Keep so many calls in flight on one connection, with a loop of their own."""
    return uvloop.run(_load(server, in_flight, seconds))


async def _load(server: Server, in_flight: int, seconds: float) -> wrk.Result:
    data, latencies = message(), []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(_METHOD)  # bytes in, bytes out: the client's part is left out as far as it goes
        await call(data, wait_for_ready=True, timeout=servers.READY_SECONDS)
        before, start = server.cpu_seconds(), time.perf_counter()

        async def caller() -> None:
            while (begun := time.perf_counter()) < start + seconds:
                await call(data, timeout=servers.READY_SECONDS)
                latencies.append(time.perf_counter() - begun)

        await asyncio.gather(*[caller() for _ in range(in_flight)])
        took, used = time.perf_counter() - start, server.cpu_seconds() - before
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    return wrk.Result(len(latencies) / took, float(p50), float(p99), used / len(latencies) * 1e6, 0)


def main(options: argparse.Namespace) -> bool:
    """Measure both in turn; return whether the bars were met."""
    rows: list[list[object]] = []
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(servers.floor_grpc(servers.MLP)),
            stack.enter_context(servers.foresail(servers.MLP, grpc=True)),
        ]
        found[1].wait(requests.as_json(requests.rows(1)))
        for server in found:
            load(server, 8, 1)
        for in_flight in IN_FLIGHT:
            ways = {server.name: functools.partial(load, server, in_flight, options.seconds) for server in found}
            seen = report.compare(options.rounds, ways)
            base = seen["floor"]
            for name, one in seen.items():
                ratio, cpu = one.rate / base.rate, one.cpu_microseconds / base.cpu_microseconds
                bar = report.Bar(ratio, least=BAR) if name == "foresail" else None
                rows.append([in_flight, name, one.rate, ratio, bar, one.p50, one.p99, one.cpu_microseconds, cpu])
    head = ("in flight", "server", "calls/s", "x floor", "bar", "p50 ms", "p99 ms", "CPU us/call", "CPU x floor")
    return report.show("grpc-calls", "one row of 32 floats over gRPC", head, rows)
