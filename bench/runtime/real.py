"""A real model behind the whole runtime, against `session.run` in a loop with the same threads.

Rounds alternate; the median of their ratios counts. Requests are binary, one row of the model's own shape.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the library is loaded
import onnxruntime as ort

from bench.runtime import models, report, requests, servers, wrk
from foresail_runtime.engine import session, warmup

if TYPE_CHECKING:
    import argparse

NAME: Final = "real"
BAR: Final = 0.97
CONNECTIONS: Final = 4
MADE_SECONDS: Final = 0.010


def main(options: argparse.Namespace) -> bool:
    """Measure a real model if one is given, else one that was made to take 10 ms; return whether the bar was met."""
    path = model(options)
    found = request(path)
    loops: list[float] = []
    served: list[wrk.Result] = []
    with servers.foresail(path, NAME, FORESAIL_CPU_LIMIT="1") as server:
        server.wait(found)
        wrk.load(server, found, CONNECTIONS, 1)
        for _ in range(options.rounds):
            loops.append(1 / run_seconds(path, options.seconds, mean=True))
            served.append(wrk.load(server, found, CONNECTIONS, options.seconds))
    got = report.median(served)
    ratio = statistics.median(one.rate / loop for one, loop in zip(served, loops, strict=True))
    rows: list[list[object]] = [
        ["session.run in a loop", statistics.median(loops), 1.0, None, None, None],
        [f"foresail, {CONNECTIONS} connections", got.rate, ratio, report.Bar(ratio, least=BAR), got.p50, got.p99],
    ]
    return report.show(
        "real", f"{path.stem}, one thread", ("what", "runs/s", "x loop", "bar", "p50 ms", "p99 ms"), rows
    )


def model(options: argparse.Namespace) -> pathlib.Path:
    """Return the model to measure."""
    return pathlib.Path(options.model).resolve() if options.model else models.of_cost(MADE_SECONDS, 1)


def run_seconds(path: pathlib.Path, seconds: float, *, mean: bool = False) -> float:
    """Return the median (or mean) time of a run on one thread, of as many as fit into so many seconds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run
    feed = _feed(path)
    run(None, feed)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while (start := time.perf_counter()) < until:
        run(None, feed)
        taken.append(time.perf_counter() - start)
    return statistics.fmean(taken) if mean else statistics.median(taken)


def request(path: pathlib.Path) -> requests.Request:
    """Return an infer request of one row, whatever inputs the model has."""
    inputs, data = [], b""
    kinds = {"float32": "FP32", "float16": "FP16", "int64": "INT64", "uint8": "UINT8"}
    for name, array in _feed(path).items():
        parameters = {"binary_data_size": array.nbytes}
        kind = kinds[array.dtype.name]
        inputs.append({"name": name, "shape": list(array.shape), "datatype": kind, "parameters": parameters})
        data += np.ascontiguousarray(array).tobytes()
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": inputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return requests.Request(f"/v2/models/{NAME}/infer", head + data, headers)


def _feed(path: pathlib.Path) -> dict[str, Any]:
    return warmup.example(session.open_engine(path, session.Options()).signature, 1, seed=0)
