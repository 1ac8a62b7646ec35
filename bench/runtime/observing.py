"""What metrics and the access log cost: requests a second and CPU a request with them, and without.

Metrics can't be turned off, so the server without them is one whose counting does nothing (`blind.py`).
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from bench.runtime import models, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from bench.runtime.servers import Server

BARS: Final = {"small": 0.90, "10 ms": 0.99}


def main(options: argparse.Namespace) -> bool:
    """Measure the small model and one of 10 ms; return whether the bars were met."""
    rows: list[list[object]] = []
    rows += _compare("small", str(servers.MLP), 32, options)
    rows += _compare("10 ms", str(models.of_cost(0.010, 1)), 4, options)
    head = ("model", "server", "req/s", "x blind", "bar", "CPU us/req", "CPU x blind")
    return report.show("observing", "metrics and the access log, on and off", head, rows)


def _compare(name: str, path: str, connections: int, options: argparse.Namespace) -> list[list[object]]:
    request = requests.as_json(requests.rows(1))
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(_server(label, path)) for label in ("blind", "metrics", "metrics and log")]
        for server in found:
            server.wait(request)
            wrk.load(server, request, connections, 1)
        seen = wrk.compare(found, request, connections, options)
    base = seen["blind"]
    rows: list[list[object]] = []
    for label, one in seen.items():
        rate, cpu = one.rate / base.rate, one.cpu_microseconds / base.cpu_microseconds
        bar = None if label == "blind" else report.Bar(rate, least=BARS[name])
        rows.append([name, label, one.rate, rate, bar, one.cpu_microseconds, cpu])
    return rows


@contextlib.contextmanager
def _server(label: str, path: str) -> Iterator[Server]:
    port = servers.free_port()
    module = "bench.runtime.blind" if label == "blind" else "foresail_runtime"
    command = [sys.executable, "-m", module, "serve", path, "--name", "mlp", "--http-port", str(port)]
    log = "1" if label == "metrics and log" else "0"
    environment = {"FORESAIL_ACCESS_LOG": log, "FORESAIL_LOG_FORMAT": "json", "FORESAIL_CPU_LIMIT": "1"}
    with servers.running(label, [*command, "--grpc-port", "off"], port, environment=environment) as server:
        yield server
