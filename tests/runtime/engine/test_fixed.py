"""A model with a batch of a fixed size takes any number of rows, where rows do not change each other's answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import contract, errors, tensors
from foresail_runtime.engine import fixed, session, warmup
from foresail_runtime.offline import model
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
        (signature((4, -1)), None),
        (signature((4, 2), out=(4, -1)), 4),
        (signature((1, 2), out=(1, 2)), None),
        (signature((-1, 2), out=(-1, 2)), None),
        (signature(), None),
    ],
)
def test_the_batch_is_the_first_dimension_that_all_share(given: Signature, expected: int | None) -> None:
    assert fixed.rows(given) == expected


def warm(path: pathlib.Path) -> tuple[warmup.Warmable, warmup.Profile]:
    engine = session.open_engine(path, session.Options())
    return fixed.warm(engine, lambda runner, together: warmup.warm(runner, time.perf_counter, together=together))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 9])
def test_any_number_of_rows_gets_as_many_answers(rows: int, tmp_path: pathlib.Path) -> None:
    runner, profile = warm(make(tmp_path / "m.onnx"))
    array = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    (found,) = runner.run({"x": array}, ["y"])
    np.testing.assert_array_equal(found, -array)
    assert (profile.batchable, profile.max_rows, profile.best_rows) == (True, SIZE, SIZE)
    assert profile.split_rows % SIZE == 0, "a large request is cut into whole batches"
    assert profile.best_seconds == profile.run_seconds
    assert runner.signature.inputs[0].shape == (-1, 2)


def by_place(path: pathlib.Path) -> pathlib.Path:
    """Write a model that answers the first two of its four rows, and nothing of the others."""
    mask = onnx.helper.make_tensor("mask", FLOAT, (SIZE, 1), [1, 1, 0, 0])
    nodes = [
        onnx.helper.make_node("Constant", [], ["mask"], value=mask),
        onnx.helper.make_node("Mul", ["x", "mask"], ["y"]),
    ]
    return save_model(path, nodes, {"x": (FLOAT, (SIZE, 2))}, {"y": (FLOAT, (SIZE, 2))})


def from_first(path: pathlib.Path) -> pathlib.Path:
    """Write a model whose every row is the first row's text."""
    zeros = onnx.helper.make_tensor("zeros", onnx.TensorProto.INT64, (SIZE,), [0] * SIZE)
    nodes = [
        onnx.helper.make_node("Constant", [], ["zeros"], value=zeros),
        onnx.helper.make_node("Gather", ["x", "zeros"], ["y"], axis=0),
    ]
    spec = (onnx.TensorProto.STRING, (SIZE, 1))
    return save_model(path, nodes, {"x": spec}, {"y": spec})


@pytest.mark.parametrize("write", [lambda path: make(path, "Softmax", axis=0), by_place, from_first])
def test_rows_that_change_each_other_are_not_filled_up(
    write: Callable[[pathlib.Path], pathlib.Path], tmp_path: pathlib.Path
) -> None:
    runner, profile = warm(write(tmp_path / "m.onnx"))
    assert not profile.batchable
    assert profile.note.endswith("it takes batches of 4 rows and no others")
    assert runner.signature.inputs[0].shape[0] == SIZE


def test_inputs_of_unequal_rows_are_refused(tmp_path: pathlib.Path) -> None:
    spec = (FLOAT, (SIZE, 2))
    node = onnx.helper.make_node("Add", ["a", "b"], ["y"])
    runner, _ = warm(save_model(tmp_path / "m.onnx", [node], {"a": spec, "b": spec}, {"y": spec}))
    with pytest.raises(errors.InvalidRequest, match=r"the inputs have \[3, 6\] rows"):
        runner.run({"a": np.zeros((6, 2), np.float32), "b": np.zeros((3, 2), np.float32)}, ["y"])


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
    waiting = contract.Batching(max_delay_milliseconds=50)
    server = await serve(make(tmp_path / "m.onnx"), {"batching": waiting})
    answers = await asyncio.gather(*(ask(server, 1 + number % 6, 100.0 * number) for number in range(24)))
    assert answers == [(200, True)] * 24
    _, found, _ = await server.call("GET", "/v2/models/m/stats")
    counts = found["model_stats"][0]
    assert counts["inference_count"] == sum(1 + number % 6 for number in range(24))
    assert counts["execution_count"] < 24, "those of up to three rows share runs"
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


@pytest.mark.parametrize(("wish", "largest"), [(2, 2), (64, SIZE)])
async def test_a_batch_wished_for_is_no_larger_than_the_models_and_cuts_nothing_up(
    wish: int, largest: int, serve: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server = await serve(make(tmp_path / "m.onnx"), {"batching": contract.Batching(max_size=wish)})
    _, config, _ = await server.call("GET", "/v2/models/m/config")
    assert config["max_batch_size"] == largest
    assert await ask(server, 8) == (200, True)
    _, found, _ = await server.call("GET", "/v2/models/m/stats")
    assert found["model_stats"][0]["execution_count"] == 1, "of all rows, in one piece: two runs inside"


def test_files_are_run_in_whole_batches(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path / "m.onnx")
    found = model.open_model(contract.ModelDescription("m", path.as_uri(), path=str(path)), tmp_path, 1)
    assert found.run_rows % SIZE == 0
    mixing = make(tmp_path / "mixing.onnx", "Softmax", axis=0)
    with pytest.raises(
        errors.ModelUnusable,
        match="rows of a batch change each other's answers: it takes batches of 4 rows and no others; export",
    ):
        model.open_model(contract.ModelDescription("m", mixing.as_uri(), path=str(mixing)), tmp_path, 1)
