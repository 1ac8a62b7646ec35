"""Models made to measure with, of whatever cost a measurement needs; written to bench-output/models once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the library is loaded
import onnxruntime as ort

from bench.runtime import report

if TYPE_CHECKING:
    import pathlib

    import numpy.typing as npt

FOLDER: Final = report.OUTPUT / "models"
WIDTH: Final = 32
_OPSET: Final = 17
_WIDE: Final = 2048
_TILED_ROWS: Final = 256
_SIDE: Final = 256


def row_sums() -> pathlib.Path:
    """Return a model that adds up each row: it costs next to nothing, so that the rest is seen."""
    nodes = [helper.make_node("ReduceSum", ["input", "axes"], ["output"], keepdims=1)]
    return _save("row-sums", nodes, {"axes": np.array([1], np.int64)}, ["N", WIDTH], ["N", 1])


def wide() -> pathlib.Path:
    """Return a model whose batch of 16 costs little more than a batch of one: what costs is reading its 32 MiB."""
    random = np.random.default_rng(1)
    weights = {
        "a": random.normal(0, 0.02, (WIDTH, _WIDE)),
        "b": random.normal(0, 0.02, (_WIDE, _WIDE)),
        "c": random.normal(0, 0.02, (_WIDE, _WIDE)),
        "d": random.normal(0, 0.02, (_WIDE, 8)),
    }
    names = ["input", "h1", "h2", "h3", "output"]
    nodes = [
        helper.make_node("MatMul", [names[index], weight], [names[index + 1]]) for index, weight in enumerate(weights)
    ]
    return _save(
        "wide", nodes, {name: array.astype(np.float32) for name, array in weights.items()}, ["N", WIDTH], ["N", 8]
    )


def of_cost(seconds: float, threads: int) -> pathlib.Path:
    """Return a model that takes about so long a run with so many threads, and takes one row at a time."""
    probe = _chain(20)
    each = (cost(_chain(60), threads) - cost(probe, threads)) / 40
    return _chain(max(1, round((seconds - cost(probe, threads)) / each) + 20))


def cost(path: pathlib.Path, threads: int, rows: int = 1) -> float:
    """Return the shortest of some runs, in seconds: what else the machine does only ever makes one longer."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run
    feed = {"input": np.ones((rows, WIDTH), np.float32)}
    taken = []
    for _ in range(30):
        start = time.perf_counter()
        run(None, feed)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _chain(length: int) -> pathlib.Path:
    """Return `length` multiplications of 256 x 256 matrices, the first made of the one row that comes in."""
    random = np.random.default_rng(1)
    weights: dict[str, npt.NDArray[Any]] = {
        "repeats": np.array([_TILED_ROWS, _SIDE // WIDTH], np.int64),
        "w": (random.normal(0, 1, (_SIDE, _SIDE)) / np.sqrt(_SIDE)).astype(np.float32),
        "starts": np.array([0, 0], np.int64),
        "ends": np.array([1, 8], np.int64),
    }
    nodes = [helper.make_node("Tile", ["input", "repeats"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{index}", "w"], [f"h{index + 1}"]) for index in range(length)]
    nodes.append(helper.make_node("Slice", [f"h{length}", "starts", "ends"], ["output"]))
    return _save(f"chain-{length}", nodes, weights, [1, WIDTH], [1, 8])


def _save(
    name: str, nodes: list[Any], weights: dict[str, npt.NDArray[Any]], takes: list[Any], gives: list[Any]
) -> pathlib.Path:
    path = FOLDER / f"{name}.onnx"
    if path.exists():
        return path
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, gives)],
        [numpy_helper.from_array(array, weight) for weight, array in weights.items()],
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9), str(path))
    return path
