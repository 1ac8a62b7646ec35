"""What a busy neighbour costs: a small model's latency beside a model of 40 ms, idle and kept busy, in one server.

Rounds alternate between idle and busy. The small model is asked at a steady pace on one connection, the large one by
two clients that ask again as soon as they are answered, so that its engine is never idle.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Final

from bench.runtime import models, report, requests, servers
from foresail_runtime.engine import cores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

BAR_MILLISECONDS: Final = 5.0
LARGE_SECONDS: Final = 0.040
PACE_SECONDS: Final = 0.005
CLIENTS: Final = 2


def main(options: argparse.Namespace) -> None:
    """Measure, and say whether the 99th percentile stays within the bar."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _put(folder, "small", servers.MLP)
        _put(folder, "large", models.of_cost(LARGE_SECONDS, cores.available()))
        with servers.foresail(folder, label="neighbours") as server:
            request = requests.as_json(requests.rows(1), model="small")
            server.wait(request)
            ask(server.port, request, 0.5)
            seen: dict[str, list[float]] = {"idle": [], "busy": []}
            answered = 0
            for _ in range(options.rounds):
                seen["idle"] += ask(server.port, request, options.seconds)
                with _busy(server.port, options.seconds + 5) as counts:
                    seen["busy"] += ask(server.port, request, options.seconds)
                answered += counts.count
    rows: list[list[object]] = []
    for state, found in seen.items():
        found.sort()
        rows.append([state, len(found), *(percentile(found, part) * 1000 for part in (50, 90, 99)), found[-1] * 1000])
    added = (percentile(seen["busy"], 99) - percentile(seen["idle"], 99)) * 1000
    report.show(
        "neighbours",
        f"a small model beside one of {LARGE_SECONDS * 1000:.0f} ms: busy adds {added:.2f} ms to p99, the bar is "
        f"{BAR_MILLISECONDS:g}; {answered} answers of the large one",
        ("neighbour", "requests", "p50 ms", "p90 ms", "p99 ms", "most ms"),
        rows,
        added_milliseconds=added,
    )


def ask(port: int, request: requests.Request, seconds: float) -> list[float]:
    """Ask at a steady pace and return how long each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = []
    with contextlib.closing(connection):
        start = time.perf_counter()
        while (begun := time.perf_counter()) - start < seconds:
            connection.request("POST", request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            response.read()
            taken.append(time.perf_counter() - begun)
            if response.status != 200:
                raise SystemExit(f"the small model answered {response.status}")
            time.sleep(max(0.0, begun + PACE_SECONDS - time.perf_counter()))
    return taken


def percentile(ordered: list[float], part: float) -> float:
    """Return the value that so many in a hundred do not exceed."""
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * part / 100) - 1)]


@contextlib.contextmanager
def _busy(port: int, seconds: float) -> Iterator[Counter]:
    """Keep the large model busy from processes of their own, for that long at most."""
    program = [sys.executable, "-m", "bench.runtime.neighbours", str(port), str(seconds)]
    clients = [
        subprocess.Popen(program, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=servers.ROOT, text=True)
        for _ in range(CLIENTS)
    ]
    counter = Counter()
    try:
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "busy\n"
        yield counter
    finally:
        for client in clients:
            counter.count += int(client.communicate("enough\n", timeout=30)[0] or 0)


class Counter:
    """How many answers the large model gave."""

    def __init__(self) -> None:
        self.count = 0


def _put(folder: pathlib.Path, name: str, model: pathlib.Path) -> None:
    (folder / name / "1").mkdir(parents=True)
    shutil.copy(model, folder / name / "1" / "model.onnx")


def _keep_busy(port: int, seconds: float) -> None:
    """Ask the large model again and again until a line comes on the standard input."""
    request = requests.as_json(requests.rows(1), model="large")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        count += 1
        if count == 1:
            print("busy", flush=True)
    print(count, flush=True)


if __name__ == "__main__":
    _keep_busy(int(sys.argv[1]), float(sys.argv[2]))
