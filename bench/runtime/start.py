"""From the start of the process to the first answer of a small model, against the floor; and the memory it then has."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.runtime import report, requests, servers

if TYPE_CHECKING:
    import argparse
    import contextlib
    from collections.abc import Callable

    Start = Callable[[], contextlib.AbstractContextManager[servers.Server]]

BAR: Final = 1.5
MEMORY_BAR_MB: Final = 120.0
"""Of a million bytes."""
ROUNDS_MORE: Final = 4
"""A start is short and noisy: more of them than of other rounds."""


class Started(NamedTuple):
    """One start, until the first answer."""

    seconds: float
    cpu_seconds: float
    resident_mb: float


def main(options: argparse.Namespace) -> bool:
    """Start each in turn; return whether the bars were met."""
    starts: dict[str, Start] = {
        "floor": lambda: servers.floor(servers.MLP),
        "foresail, no gRPC": lambda: servers.foresail(servers.MLP),
        "foresail": lambda: servers.foresail(servers.MLP, grpc=True),
    }
    request = requests.as_json(requests.rows(1))
    for start in starts.values():  # once, so that every module is compiled and in the page cache
        with start() as server:
            server.wait(request)
    ways = {name: functools.partial(_once, start, request) for name, start in starts.items()}
    seen = report.compare(options.rounds + ROUNDS_MORE, ways)
    rows: list[list[object]] = []
    for name, one in seen.items():
        ratio, ours = one.seconds / seen["floor"].seconds, name != "floor"
        soon = report.Bar(ratio, most=BAR) if ours else None
        small = report.Bar(one.resident_mb, most=MEMORY_BAR_MB) if ours else None
        rows.append([name, one.seconds, ratio, soon, one.cpu_seconds, one.resident_mb, small])
    head = ("server", "ready s", "x floor", "bar", "CPU s", "RSS MB", "RSS bar")
    return report.show("start", "start to the first answer, small model", head, rows)


def _once(start: Start, request: requests.Request) -> Started:
    with start() as server:
        return Started(server.wait(request), server.cpu_seconds(), server.resident_bytes() / 1e6)
