"""From the start of the process to the first answer of a small model, against the floor; and the memory it then has."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from bench.runtime import report, requests, servers

if TYPE_CHECKING:
    import argparse
    import contextlib
    from collections.abc import Callable

    Start = Callable[[], contextlib.AbstractContextManager[servers.Server]]

BAR: Final = 1.5
ROUNDS_MORE: Final = 4
"""A start is short and noisy: more of them than of other rounds."""


def main(options: argparse.Namespace) -> None:
    """Start each in turn."""
    starts: dict[str, Start] = {
        "floor": lambda: servers.floor(servers.MLP),
        "foresail, no gRPC": lambda: servers.foresail(servers.MLP),
        "foresail": lambda: servers.foresail(servers.MLP, grpc=True),
    }
    request = requests.as_json(requests.rows(1))
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    cpu: dict[str, list[float]] = {name: [] for name in starts}
    memory: dict[str, float] = {}
    for start in starts.values():  # once, so that every module is compiled and in the page cache
        with start() as server:
            server.wait(request)
    for _ in range(options.rounds + ROUNDS_MORE):
        for name, start in starts.items():
            with start() as server:
                seconds[name].append(server.wait(request))
                cpu[name].append(server.cpu_seconds())
                memory[name] = server.resident_bytes() / 2**20
    base = statistics.median(seconds["floor"])
    rows: list[list[object]] = []
    for name, found in seconds.items():
        middle = statistics.median(found)
        bar = None if name == "floor" else BAR
        rows.append([name, middle, middle / base, bar, min(found), statistics.median(cpu[name]), memory[name]])
    head = ("server", "ready s", "x floor", "bar", "least s", "CPU s", "RSS MiB")
    report.show("start", "start to the first answer, small model", head, rows)
