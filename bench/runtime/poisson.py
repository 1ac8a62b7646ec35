"""A model at 80 % of what it can take, requests arriving at random, against the queue that theory has for it (M/D/1).

The queue is simulated with the very moments at which the requests were sent and the median time of `session.run`
measured before and after; its answers take nothing else. Requests are binary; one thread, so that the other core is
left to the client.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.runtime import open_loop, real, report, servers

if TYPE_CHECKING:
    import argparse

LOAD: Final = 0.8
BAR: Final = 1.3


def main(options: argparse.Namespace) -> bool:
    """Measure a real model if one is given, else one that was made to take 10 ms; return whether the bar was met."""
    path = real.model(options)
    run_seconds = real.run_seconds(path, options.seconds)
    request = real.request(path)
    with servers.foresail(path, real.NAME, FORESAIL_CPU_LIMIT="1") as server:
        server.wait(request)
        open_loop.send(server.port, request.wire(), open_loop.evenly(0.5 / run_seconds, options.seconds))
        due = open_loop.poisson(LOAD / run_seconds, options.requests)
        seen = open_loop.send(server.port, request.wire(), due)
    service = statistics.median([run_seconds, real.run_seconds(path, options.seconds)])
    theory = simulate(seen.sent, service)
    rows: list[list[object]] = []
    for name, took in (("M/D/1", theory), ("foresail", seen.took)):
        values = np.percentile(took, (50, 90, 99)) * 1000
        ratio = float(values[2]) / (float(np.percentile(theory, 99)) * 1000)
        rows.append([name, *map(float, values), ratio, report.Bar(ratio, most=BAR) if name == "foresail" else None])
    title = f"{path.stem} at {LOAD:.0%} of 1/{service * 1000:.1f} ms, {len(due)} Poisson arrivals, "
    title += f"{int(np.sum(seen.status != 200))} not answered 200"
    return report.show("poisson", title, ("server", "p50 ms", "p90 ms", "p99 ms", "p99 x M/D/1", "bar"), rows)


def simulate(arrivals: open_loop.Times, service_seconds: float) -> open_loop.Times:
    """Return how long each request would be there if one server took exactly so long for each, in order."""
    free = 0.0
    took = np.empty(len(arrivals))
    for number, arrival in enumerate(arrivals):
        free = max(free, arrival) + service_seconds
        took[number] = free - arrival
    return took
