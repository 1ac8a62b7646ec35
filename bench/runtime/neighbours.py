"""What a busy neighbour costs: a small model's latency beside a model of 40 ms, idle and kept busy, in one server.

Rounds alternate between idle and busy. The small model is asked at a steady pace, whether or not the one before is
answered, the large one by two clients that ask again as soon as they are answered, so that its engine is never idle.
"""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.runtime import models, open_loop, report, requests, servers
from foresail_runtime.engine import cores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

BAR_MILLISECONDS: Final = 5.0
LARGE_SECONDS: Final = 0.040
PACE_SECONDS: Final = 0.005
CLIENTS: Final = 2


def main(options: argparse.Namespace) -> bool:
    """Measure; return whether the 99th percentile stays within the bar."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _put(folder, "small", servers.MLP)
        _put(folder, "large", models.of_cost(LARGE_SECONDS, cores.available()))
        with servers.foresail(folder, label="neighbours") as server:
            request = requests.as_json(requests.rows(1), model="small")
            server.wait(request)
            small(server.port, request, 0.5)
            seen: dict[str, list[float]] = {"idle": [], "busy": []}
            answered = 0
            for _ in range(options.rounds):
                seen["idle"] += small(server.port, request, options.seconds)
                with _busy(server.port, options.seconds + 5) as counts:
                    seen["busy"] += small(server.port, request, options.seconds)
                answered += counts.count
    rows: list[list[object]] = []
    idle = float(np.percentile(seen["idle"], 99))
    for state, found in seen.items():
        p50, p90, p99, most = (float(value) for value in np.percentile(found, (50, 90, 99, 100)))
        bar = report.Bar(p99 - idle, most=BAR_MILLISECONDS) if state == "busy" else None
        rows.append([state, len(found), p50, p90, p99, most, p99 - idle, bar])
    return report.show(
        "neighbours",
        f"a small model beside one of {LARGE_SECONDS * 1000:.0f} ms; {answered} answers of the large one",
        ("neighbour", "requests", "p50 ms", "p90 ms", "p99 ms", "most ms", "p99 on top of idle, ms", "bar"),
        rows,
    )


def small(port: int, request: requests.Request, seconds: float) -> list[float]:
    """Ask the small model at a steady pace, however long answers take; return the milliseconds of each."""
    seen = open_loop.send(port, request.wire(), open_loop.evenly(1 / PACE_SECONDS, seconds))
    if others := set(seen.status.tolist()) - {200}:
        raise SystemExit(f"the small model answered {others}")
    return [float(took) * 1000 for took in seen.took]


@contextlib.contextmanager
def _busy(port: int, seconds: float) -> Iterator[Counter]:
    """Keep the large model busy from processes of their own, for that long at most."""
    program = [*servers.ENDS_WITH_US, sys.executable, "-m", "bench.runtime.neighbours", str(port), str(seconds)]
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
