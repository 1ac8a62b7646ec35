"""A model with a batch of a fixed size takes any number of rows, where rows do not change each other's answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import contract, tensors
from foresail_runtime.engine import fixed, session, warmup
from foresail_runtime.tensors import Signature, TensorSpec
from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Sequence

SIZE = 4


def make(path: pathlib.Path, operator: str = "Neg", **attributes: Any) -> pathlib.Path:
    """Write a model of one operator that takes four rows of two numbers."""
    node = onnx.helper.make_node(operator, ["x"], ["y"], **attributes)
    return save_model(path, [node], {"x": (FLOAT, (SIZE, 2))}, {"y": (FLOAT, (SIZE, 2))})


def signature(*shapes: Sequence[int], out: Sequence[int] = (SIZE, 2)) -> Signature:
    inputs = tuple(TensorSpec(f"x{number}", tensors.FP32, tuple(shape)) for number, shape in enumerate(shapes))
    return Signature(inputs, (TensorSpec("y", tensors.FP32, tuple(out)),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (signature((4, 2)), 4),
        (signature((4, 2), (4, 3, 3)), 4),
        (signature((4, 2), out=(4,)), 4),
        (signature((4, 2), (2, 2)), None),
        (signature((4, 2), out=(1,)), None),
        (signature((4, 2), out=()), None),
        (signature((4,), out=(4,)), None),
        (signature((1, 2), out=(1, 2)), None),
        (signature((-1, 2), out=(-1, 2)), None),
        (signature(), None),
    ],
)
def test_the_batch_is_the_first_dimension_that_all_share(given: Signature, expected: int | None) -> None:
    assert fixed.rows(given) == expected


def warm(path: pathlib.Path) -> tuple[warmup.Runner, warmup.Profile]:
    engine = session.open_engine(path, session.Options())
    return fixed.warm(engine, lambda runner: warmup.warm(runner, time.perf_counter))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 9])
def test_any_number_of_rows_gets_as_many_answers(rows: int, tmp_path: pathlib.Path) -> None:
    runner, profile = warm(make(tmp_path / "m.onnx"))
    array = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    (found,) = runner.run({"x": array}, ["y"])
    np.testing.assert_array_equal(found, -array)
    assert (profile.batchable, profile.max_rows, profile.split_rows, profile.best_rows) == (True, SIZE, SIZE, SIZE)
    assert profile.best_seconds == profile.run_seconds
    assert runner.signature.inputs[0].shape == (-1, 2)


def test_rows_that_change_each_other_are_not_filled_up(tmp_path: pathlib.Path) -> None:
    runner, profile = warm(make(tmp_path / "m.onnx", "Softmax", axis=0))
    assert not profile.batchable
    assert profile.note.endswith("it takes batches of 4 rows and no others")
    assert runner.signature.inputs[0].shape == (SIZE, 2)


def test_text_is_filled_up_too(tmp_path: pathlib.Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    spec = {"x": (onnx.TensorProto.STRING, (SIZE, 1))}
    runner, _ = warm(save_model(tmp_path / "m.onnx", [node], spec, {"y": spec["x"]}))
    for text in ([[b"a"]], [[b"a"], [b"b"]]):
        array = np.array(text, object)
        (found,) = runner.run({"x": array}, ["y"])
        assert found.tolist() == text
    (none,) = runner.run({"x": np.empty((0, 1), object)}, ["y"])
    assert none.shape == (0, 1)


async def ask(server: Any, rows: int, first: float = 0.0) -> tuple[int, Any]:
    data = [first + number for number in range(rows * 2)]
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 2], "data": data}
    status, document = await server.infer({"inputs": [tensor]})
    return status, document["outputs"][0]["data"] == [-number for number in data] if status == 200 else document


async def test_callers_share_batches_of_the_models_size(serve: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    server = await serve(make(tmp_path / "m.onnx"))
    answers = await asyncio.gather(*(ask(server, 1 + number % 6, 100.0 * number) for number in range(24)))
    assert answers == [(200, True)] * 24
    _, config, _ = await server.call("GET", "/v2/models/m/config")
    assert config["max_batch_size"] == SIZE
    _, metadata, _ = await server.call("GET", "/v2/models/m")
    assert metadata["inputs"][0]["shape"] == [-1, 2]


async def test_where_rows_change_each_other_the_size_is_asked_for(
    serve: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server = await serve(make(tmp_path / "m.onnx", "Softmax", axis=0))
    status, document = await ask(server, 1)
    assert status == 400
    assert "[4, 2]" in document["error"]


async def test_a_batch_wished_for_is_no_larger_than_the_models(
    serve: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server = await serve(make(tmp_path / "m.onnx"), {"batching": contract.Batching(max_size=64)})
    _, config, _ = await server.call("GET", "/v2/models/m/config")
    assert config["max_batch_size"] == SIZE
    assert await ask(server, 9) == (200, True)
