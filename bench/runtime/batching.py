"""A model whose batch of 16 costs at most 4 times a batch of one, batched and not, at 1 and at 64 connections."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bench.runtime import models, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

CONNECTIONS: Final = (1, 64)
LEAST_RATE: Final = 3.0
"""Of 64 connections, times unbatched."""
MOST_P50: Final = 1.10
"""Of one connection, times unbatched."""


def main(options: argparse.Namespace) -> bool:
    """Measure both in turn; return whether the bars were met."""
    path = models.wide()
    one, sixteen = models.cost(path, 1), models.cost(path, 1, 16)
    request = requests.as_binary(requests.rows(1), model="wide")
    rows: list[list[object]] = []
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(servers.described(path, "wide", label="unbatched", max_size=1, FORESAIL_CPU_LIMIT="1")),
            stack.enter_context(servers.described(path, "wide", label="batched", FORESAIL_CPU_LIMIT="1")),
        ]
        for server in found:
            server.wait(request)
            wrk.load(server, request, 4, 1)
        for connections in CONNECTIONS:
            seen = wrk.compare(found, request, connections, options)
            base = seen["unbatched"]
            for name, got in seen.items():
                rate, p50 = got.rate / base.rate, got.p50 / base.p50
                enough = report.Bar(rate, least=LEAST_RATE) if (name, connections) == ("batched", 64) else None
                soon = report.Bar(p50, most=MOST_P50) if (name, connections) == ("batched", 1) else None
                rows.append([connections, name, got.rate, rate, enough, got.p50, p50, soon, got.p99])
    head = ("connections", "server", "req/s", "x unbatched", "bar", "p50 ms", "p50 x unbatched", "p50 bar", "p99 ms")
    title = f"a batch of 16 costs {sixteen / one:.1f} times a batch of 1 ({one * 1000:.1f} ms), one thread"
    return report.show("batching", title, head, rows, cost_ratio=sixteen / one)
