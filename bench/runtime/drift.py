"""What watching for drift costs: the same model served with a reference and without, as ratios of one run.

The small model is the benchmarks' MLP, watched in all its 32 columns and 8 outputs; the slow one takes about 10 ms a
run, a row at a time (whether batches pay is measured at each start, and two servers could come to differ). Of CPU a
request other work on the machine disturbs less than of requests a second.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.runtime import models, report, requests, servers, wrk
from foresail_runtime.drift import features, reference, watch
from foresail_runtime.engine import session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bench.runtime.servers import Server

CONNECTIONS: Final = (1, 8, 32)
SLOW_SECONDS: Final = 0.010
BARS: Final = {"small": 0.90, "10 ms": 0.98}
_LEARN_SECONDS: Final = 120.0


def main(options: argparse.Namespace) -> bool:
    """Measure both models; return whether the bars were met."""
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        looks = calls(learn(servers.MLP, folder))
        rows += _compare("small", servers.MLP, folder, options)
        rows += _compare("10 ms", models.of_cost(SLOW_SECONDS, 1), folder, options)
    head = ("model", "connections", "server", "req/s", "x plain", "bar", "CPU us/req", "CPU x plain", "rows sampled")
    return report.show("drift", f"watching for drift, on and off; CPU time of {looks}", head, rows)


def learn(model: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Return the reference of a model, made from random rows."""
    table = np.random.default_rng(0).normal(size=(500, models.WIDTH))
    data, target = folder / "data.csv", folder / f"{model.stem}.json"
    lines = [",".join(f"c{index}" for index in range(models.WIDTH)), *(",".join(map(str, row)) for row in table)]
    data.write_text("\n".join(lines))
    command = [sys.executable, "-m", "foresail_runtime", "reference", str(model), str(data), str(target)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=_LEARN_SECONDS)
    return target


def _compare(name: str, model: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> list[list[object]]:
    request, rows = requests.as_json(requests.rows(1)), list[list[object]]()
    known = str(learn(model, folder))
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(servers.foresail(model, label="plain", FORESAIL_CPU_LIMIT="1")),
            stack.enter_context(
                servers.foresail(model, label="watched", FORESAIL_CPU_LIMIT="1", FORESAIL_DRIFT_REFERENCE=known)
            ),
        ]
        for server in found:
            server.wait(request)
            wrk.load(server, request, 8, 1)
        for connections in CONNECTIONS:
            before = _sampled(found[1])
            seen = wrk.compare(found, request, connections, options)
            for label, one in seen.items():
                rate, cpu = one.rate / seen["plain"].rate, one.cpu_microseconds / seen["plain"].cpu_microseconds
                watched = label == "watched"
                bar = report.Bar(rate, least=BARS[name]) if watched else None
                sampled = _sampled(found[1]) - before if watched else None
                rows.append([name, connections, label, one.rate, rate, bar, one.cpu_microseconds, cpu, sampled])
    return rows


def _sampled(server: Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v2/models/mlp/drift", timeout=5) as response:
        return int(json.load(response)["sampled_rows"])


def calls(known: pathlib.Path) -> str:
    """Return what a look at a run of one row costs, in CPU time: the least of a few, as other work only ever adds."""
    engine = session.open_engine(servers.MLP, session.Options())
    inputs = {"input": np.zeros((1, models.WIDTH), np.float32)}
    outputs = engine.run(inputs, engine.output_names)
    views = features.views(engine.signature, engine.output_names)
    found = reference.Reference.decode(known.read_text())
    times: dict[str, list[float]] = {"a run": [], "a run that is not sampled": [], "a run that is": []}
    for _ in range(7):
        full = watch.Watch(found, views, time.perf_counter, cost=1e9)
        seldom = watch.Watch(found, views, time.perf_counter, cost=1e-9)
        for _ in range(300):  # so that the distance between samples is as it stays
            seldom.see(inputs, engine.output_names, outputs)
        plain: Callable[..., object] = lambda given, names, _: engine.run(given, names)  # noqa: E731
        for seen, act in zip(times.values(), (plain, seldom.see, full.see), strict=True):
            start = time.thread_time()
            for _ in range(5120):
                act(inputs, engine.output_names, outputs)
            seen.append((time.thread_time() - start) / 5120)
    return ", ".join(f"{name}: {min(seen) * 1e6:.2f} us" for name, seen in times.items())
