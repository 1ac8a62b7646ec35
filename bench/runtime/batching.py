"""A model whose batch of 16 costs at most 4 times a batch of one, batched and not, at 1 and at 64 connections."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bench.runtime import models, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

CONNECTIONS: Final = (1, 64)
BARS: Final = {1: "p50 <= 1.10", 64: "rate >= 3"}


def main(options: argparse.Namespace) -> None:
    """Measure both in turn."""
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
            seen: dict[str, list[wrk.Result]] = {server.name: [] for server in found}
            for _ in range(options.rounds):
                for server in found:
                    seen[server.name].append(wrk.load(server, request, connections, options.seconds))
            base = report.median(seen["unbatched"])
            for name, results in seen.items():
                got = report.median(results)
                bar = BARS[connections] if name == "batched" else None
                rows.append(
                    [connections, name, got.rate, got.rate / base.rate, got.p50, got.p50 / base.p50, got.p99, bar]
                )
    head = ("connections", "server", "req/s", "x unbatched", "p50 ms", "p50 x unbatched", "p99 ms", "bar")
    title = f"a batch of 16 costs {sixteen / one:.1f} times a batch of 1 ({one * 1000:.1f} ms), one thread"
    report.show("batching", title, head, rows, cost_ratio=sixteen / one)
