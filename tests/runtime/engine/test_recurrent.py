"""Operators that end the process on tensors of no elements never get any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import contract, errors, tensors
from foresail_runtime.engine import session
from foresail_runtime.offline import model
from foresail_runtime.repository import graph
from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

GATES = {"GRU": 3, "LSTM": 4}


def save(path: pathlib.Path, operator: str) -> pathlib.Path:
    """Write a model of one layer with one cell."""
    weights = [
        onnx.helper.make_node(
            "Constant", [], [name], value=onnx.helper.make_tensor(name, FLOAT, [1, gates, size], [0.1] * gates * size)
        )
        for gates in [GATES[operator]]
        for name, size in (("w", 2), ("r", 1))
    ]
    layer = onnx.helper.make_node(operator, ["x", "w", "r"], ["y"], hidden_size=1)
    return save_model(path, [*weights, layer], {"x": (FLOAT, ["T", "N", 2])}, {"y": (FLOAT, ["T", 1, "N", 1])})


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("shape", [(3, 0, 2), (0, 3, 2), (0, 0, 2)])
def test_a_request_of_nothing_is_refused_and_does_not_end_the_process(
    tmp_path: pathlib.Path, operator: str, shape: tuple[int, ...]
) -> None:
    path = save(tmp_path / "m.onnx", operator)
    found = session.open_engine(path, session.Options(operators=graph.operators(path)))
    with pytest.raises(errors.InvalidRequest, match=f"input 'x' has the shape .* ONNX Runtime's {operator}"):
        found.run({"x": np.zeros(shape, np.float32)}, ["y"])
    (answer,) = found.run({"x": np.zeros((3, 1, 2), np.float32)}, ["y"])
    assert answer.shape == (3, 1, 1, 1)


async def test_a_server_outlives_a_request_of_nothing(serve: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    server = await serve(save(tmp_path / "m.onnx", "GRU"))
    empty = {"name": "x", "datatype": "FP32", "shape": [0, 3, 2], "data": []}
    status, _ = await server.infer({"inputs": [empty]})
    again, _ = await server.infer({"inputs": [empty | {"shape": [1, 1, 2], "data": [1, 2]}]})
    assert (status, again) == (400, 200)


def test_scoring_files_outlives_a_row_of_nothing(tmp_path: pathlib.Path) -> None:
    description = contract.ModelDescription("m", f"file://{save(tmp_path / 'm.onnx', 'GRU')}")
    found = model.open_model(description, tmp_path, 1)
    nothing = tensors.Tensor("x", tensors.FP32, np.zeros((1, 0, 2), np.float32))
    _, faults = found.run([nothing], ("y",))
    assert "can't run on nothing" in faults[0]
