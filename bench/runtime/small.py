"""A small model behind the whole runtime, against the floor: rate, latency and CPU at 1, 8, 32 connections.

Rounds alternate between the servers, so that what else the machine does hits them alike; medians are compared.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bench.runtime import report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

    from bench.runtime.requests import Request
    from bench.runtime.servers import Server

CONNECTIONS: Final = (1, 8, 32)
BAR: Final = {1: 0.70, 8: 0.80, 32: 0.90}


def main(options: argparse.Namespace) -> None:
    """Measure JSON and binary bodies."""
    rows: list[list[object]] = []
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(servers.floor(servers.MLP)), stack.enter_context(servers.foresail(servers.MLP))]
        for form, make in (("json", requests.as_json), ("binary", requests.as_binary)):
            request = make(requests.rows(1))
            for server in found:
                server.wait(request)
                wrk.load(server, request, 8, 1)
            for connections in CONNECTIONS:
                rows += _compare(found, request, form, connections, options)
    head = ("form", "connections", "server", "req/s", "x floor", "bar", "p50 ms", "p99 ms", "CPU us/req", "CPU x floor")
    report.show("small", "one row of 32 floats over REST", head, rows)


def _compare(
    found: list[Server], request: Request, form: str, connections: int, options: argparse.Namespace
) -> list[list[object]]:
    seen: dict[str, list[wrk.Result]] = {server.name: [] for server in found}
    for _ in range(options.rounds):
        for server in found:
            seen[server.name].append(wrk.load(server, request, connections, options.seconds))
    base = report.median(seen["floor"])
    rows: list[list[object]] = []
    for name, results in seen.items():
        one = report.median(results)
        bar = BAR[connections] if name == "foresail" and form == "json" else None
        ratio, cpu = one.rate / base.rate, one.cpu_microseconds / base.cpu_microseconds
        rows.append([form, connections, name, one.rate, ratio, bar, one.p50, one.p99, one.cpu_microseconds, cpu])
    return rows
