"""A small model behind the whole runtime, against the floor: rate, latency and CPU at 1, 8, 32 connections.

Servers and forms are measured in turn, so that what else the machine does hits them alike; medians are compared. The
floor is the same for both forms: a binary request is held to be answered as often as one in JSON.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Final

from bench.runtime import report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

CONNECTIONS: Final = (1, 8, 32)
RATE_BAR: Final = {1: 0.70, 8: 0.80, 32: 0.90}
P99_BAR: Final = 2.0


def main(options: argparse.Namespace) -> bool:
    """Measure JSON and binary bodies; return whether the bars were met."""
    forms = {"json": requests.as_json(requests.rows(1)), "binary": requests.as_binary(requests.rows(1))}
    rows: list[list[object]] = []
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(servers.floor(servers.MLP)), stack.enter_context(servers.foresail(servers.MLP))]
        for request in forms.values():
            for server in found:
                server.wait(request)
                wrk.load(server, request, 8, 1)
        for connections in CONNECTIONS:
            ways = {
                f"{form} {server.name}": functools.partial(wrk.load, server, request, connections, options.seconds)
                for form, request in forms.items()
                for server in found
            }
            rows += _rows(connections, report.compare(options.rounds, ways))
    rates = ("connections", "form, server", "req/s", "x floor", "bar", "x json", "bar for it")
    head = (*rates, "p50 ms", "p99 ms", "p99 x floor", "p99 bar", "CPU us/req", "CPU x floor")
    return report.show("small", "one row of 32 floats over REST", head, rows)


def _rows(connections: int, seen: dict[str, wrk.Result]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, one in seen.items():
        form, server = name.split()
        floor, json = seen[f"{form} floor"], seen[f"json {server}"]
        rate, alike, p99 = one.rate / floor.rate, one.rate / json.rate, one.p99 / floor.p99
        ours_in_json, ours_in_binary = name == "json foresail", name == "binary foresail"
        rows.append(
            [
                *(connections, name, one.rate),
                *(rate, report.Bar(rate, least=RATE_BAR[connections]) if ours_in_json else None),
                *(alike, report.Bar(alike, least=1.0) if ours_in_binary else None),
                *(one.p50, one.p99, p99, report.Bar(p99, most=P99_BAR) if ours_in_json else None),
                *(one.cpu_microseconds, one.cpu_microseconds / floor.cpu_microseconds),
            ]
        )
    return rows
