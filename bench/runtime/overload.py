"""Ten times the load that a 10 ms model can take: what is still answered, how fast the rest is refused, and memory.

The peak is what 4 connections get in a closed loop. Memory is compared between the first sixth of the overload, when
the queue and the connections are there, and its end. What a small model has left is measured with 1,000 connections,
since nothing on the same two cores could offer it ten times its load.
"""

from __future__ import annotations

import collections
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.runtime import models, open_loop, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

    from bench.runtime.open_loop import Seen
    from bench.runtime.servers import Server

FACTOR: Final = 10
RUN_SECONDS: Final = 0.010
CROWD: Final = 1000
_SAMPLE_SECONDS: Final = 0.25


def main(options: argparse.Namespace) -> bool:
    """Measure the 10 ms model, then the small one; return whether the bars of the former were met."""
    path = models.of_cost(RUN_SECONDS, 1)
    request = requests.as_json(requests.rows(1), model="slow")
    with servers.foresail(path, "slow", FORESAIL_CPU_LIMIT="1") as server:
        server.wait(request)
        peak = wrk.load(server, request, 4, 2 * options.seconds)
        due = open_loop.evenly(FACTOR * peak.rate, options.overload_seconds)
        seen, memory = _watched(server, request.wire(), due)
    good = _report(peak, seen, memory, options.overload_seconds)
    _small(options)
    return good


def _watched(server: Server, data: bytes, due: open_loop.Times) -> tuple[Seen, list[int]]:
    memory: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            memory.append(server.resident_bytes())

    with concurrent.futures.ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watch)
        seen = open_loop.send(server.port, data, due)
        over.set()
        watching.result()
    return seen, memory


def _report(peak: wrk.Result, seen: Seen, memory: list[int], seconds: float) -> bool:
    within = seen.sent + seen.took <= seconds
    good = float(np.sum((seen.status == 200) & within)) / seconds
    samples = memory[: max(6, int(seconds / _SAMPLE_SECONDS))]
    early, late = max(samples[: len(samples) // 6]), max(samples)
    refused = seen.percentile(50, 429), seen.percentile(99, 429)
    others = collections.Counter(int(status) for status in seen.status if status not in (200, 429))
    rows: list[list[object]] = [
        ["peak, answers/s", peak.rate, None],
        ["offered, requests/s", len(seen.sent) / max(seconds, float(seen.sent.max())), None],
        ["goodput, answers/s", good, None],
        ["goodput / peak", good / peak.rate, report.Bar(good / peak.rate, least=0.95)],
        ["refused with 429", int(np.sum(seen.status == 429)), None],
        ["refused, p50 ms", refused[0], report.Bar(refused[0], most=5)],
        ["refused, p99 ms", refused[1], report.Bar(refused[1], most=5)],
        ["any other answer (0: broken)", str(dict(others)), report.Bar(others.total(), most=0)],
        ["RSS early MiB", early / 2**20, None],
        ["RSS at most MiB", late / 2**20, None],
        ["RSS growth", late / early - 1, report.Bar(late / early - 1, most=0.10)],
    ]
    return report.show(
        "overload", f"ten times the load of a 10 ms model for {seconds:g} s", ("what", "measured", "bar"), rows
    )


def _small(options: argparse.Namespace) -> None:
    request = requests.as_json(requests.rows(1))
    with servers.foresail(servers.MLP) as server:
        server.wait(request)
        peak = wrk.load(server, request, 32, options.seconds)
        before = server.resident_bytes()
        crowd = wrk.load(server, request, CROWD, 2 * options.seconds, may_refuse=True)
        after = server.resident_bytes()
    rows: list[list[object]] = [
        ["32 connections, answers/s", peak.rate],
        [f"{CROWD} connections, answers/s", crowd.rate],
        ["what is left", crowd.rate / peak.rate],
        ["refused", crowd.refused],
        ["p99 ms", crowd.p99],
        ["RSS before, after MiB", f"{before / 2**20:.0f}, {after / 2**20:.0f}"],
    ]
    report.show("overload-small", "the small model in a crowd", ("what", "measured"), rows)
