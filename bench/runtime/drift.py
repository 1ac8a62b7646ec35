"""What watching for drift costs: the same model served with a reference and without, as ratios of one run.

The small model is the benchmarks' MLP, watched in all its 32 columns and 8 outputs, at 1, 8 and 32 connections; the
slow one a chain of matrix products of about 10 ms a run. Rounds alternate between the servers; the
medians of the rounds' ratios are printed (least to most), of requests a second and of CPU a request, which other
work on the machine disturbs less. Needs `wrk` (Debian package of that name). Everything stays on loopback.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
import onnx

from foresail_runtime.drift import features, reference, watch
from foresail_runtime.engine import session, warmup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

HERE = pathlib.Path(__file__).parent
MLP = HERE.parents[1] / "tests" / "runtime" / "models" / "mlp.onnx"
COLUMNS = 32
SLOW_MILLISECONDS = 10


def slow_model(path: pathlib.Path, milliseconds: float) -> pathlib.Path:
    """Write a model of 32 columns that takes about so long: its number of products is found by trying.

    It takes a row at a time: whether batches pay is measured at each start, and two servers could come to differ.
    """
    side = 512
    random = np.random.default_rng(0)
    weights = [onnx.numpy_helper.from_array(random.normal(size=(COLUMNS, side)).astype(np.float32), "w0")]
    weights.append(onnx.numpy_helper.from_array((random.normal(size=(side, side)) / 23).astype(np.float32), "w"))
    products = 64
    while True:
        nodes = [onnx.helper.make_node("MatMul", ["input", "w0"], ["h0"])]
        for index in range(products):
            nodes.append(onnx.helper.make_node("MatMul", [f"h{index}", "w"], [f"m{index}"]))
            nodes.append(onnx.helper.make_node("Tanh", [f"m{index}"], [f"h{index + 1}"]))
        nodes.append(onnx.helper.make_node("MatMul", [f"h{products}", "last"], ["output"]))
        sides = [
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, width])]
            for name, width in (("input", COLUMNS), ("output", 1))
        ]
        last = onnx.numpy_helper.from_array(np.full((side, 1), 1 / side, np.float32), "last")
        graph = onnx.helper.make_graph(nodes, "slow", sides[0], sides[1], [*weights, last])
        opset = [onnx.helper.make_opsetid("", 20)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
        seconds = warmup.warm(session.open_engine(path, session.Options()), time.perf_counter).run_seconds or 0.0
        if seconds * 1000 >= milliseconds * 0.9:
            print(f"slow model: {seconds * 1000:.1f} ms a run, {products} products", file=sys.stderr)
            return path
        products = int(products * max(1.2, milliseconds / 1000 / seconds))


def learn(model: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    table = np.random.default_rng(0).normal(size=(500, COLUMNS))
    data, target = folder / "data.csv", folder / f"{model.stem}.json"
    lines = [",".join(f"c{index}" for index in range(COLUMNS)), *(",".join(map(str, row)) for row in table)]
    data.write_text("\n".join(lines))
    command = [sys.executable, "-m", "foresail_runtime", "reference", str(model), str(data), str(target)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return target


class Server:
    """One `foresail serve` with or without a reference."""

    def __init__(self, model: pathlib.Path, known: pathlib.Path | None) -> None:
        environment = {"PATH": "/usr/bin", "HOME": tempfile.gettempdir()}
        if known is not None:
            environment["FORESAIL_DRIFT_REFERENCE"] = str(known)
        command = ["-m", "foresail_runtime", "serve", str(model), "--name", "m", "--http-port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--grpc-port", "off"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if line.startswith("serving "))
        self.url = line.split(" at ")[1].strip()

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, script: pathlib.Path, connections: int, seconds: float) -> tuple[float, float]:
        """Return requests a second and CPU seconds a request."""
        before = self.cpu_seconds()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "-s", str(script), f"{self.url}/infer"]
        text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 20).stdout
        found = re.search(r"(\d+) requests in", text)
        rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
        assert found is not None, text
        assert rate is not None, text
        assert "Non-2xx" not in text, text
        return float(rate[1]), (self.cpu_seconds() - before) / int(found[1])

    def sampled(self) -> dict[str, object]:
        with urllib.request.urlopen(f"{self.url}/drift", timeout=5) as response:
            document: dict[str, object] = json.load(response)
        return {key: document[key] for key in ("sampled_rows", "sampled_runs", "sampling_seconds")}


def wrk_script(folder: pathlib.Path) -> pathlib.Path:
    data = [round(index / 7, 4) for index in range(COLUMNS)]
    tensor = {"name": "input", "shape": [1, COLUMNS], "datatype": "FP32", "data": data}
    script = folder / "post.lua"
    body = json.dumps({"inputs": [tensor]})
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = 'application/json'\n")
    return script


def compare(name: str, model: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    script = wrk_script(folder)
    servers = [Server(model, None), Server(model, learn(model, folder))]
    try:
        for connections in (1, 8, 32):
            seen: list[list[tuple[float, float]]] = [[], []]
            for turn in range(options.rounds):
                for which in (0, 1) if turn % 2 else (1, 0):
                    seen[which].append(servers[which].measure(script, connections, options.seconds))
            pairs = list(zip(*seen, strict=True))
            rates = [watched[0] / plain[0] for plain, watched in pairs]
            costs = [watched[1] / plain[1] for plain, watched in pairs]
            plain = statistics.median(one[0] for one in seen[0])
            print(
                f"| {name} | {connections} | {plain:,.0f} | {_ratio(rates)} | {_ratio(costs)} "
                f"| {servers[1].sampled()} |",
                flush=True,
            )
    finally:
        for server in servers:
            server.process.terminate()
        for server in servers:
            server.process.wait(20)


def calls(known: pathlib.Path) -> None:
    """Print what one look at a run of one row costs, in CPU time, the least of a few: other work disturbs it little."""
    engine = session.open_engine(MLP, session.Options())
    inputs = {"input": np.zeros((1, COLUMNS), np.float32)}
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
    print(", ".join(f"{name}: {min(seen) * 1e6:.2f} us" for name, seen in times.items()), flush=True)


def _ratio(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        calls(learn(MLP, folder))
        print("| model | connections | plain, requests/s | watched / plain | the same of CPU a request | sampled |")
        print("|---|---|---|---|---|---|")
        compare("small", MLP, folder, options)
        compare("slow", slow_model(folder / "slow.onnx", SLOW_MILLISECONDS), folder, options)
