"""Operators that end the process on tensors of no elements never get any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from foresail_runtime import errors
from foresail_runtime.engine import session
from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib

GATES = {"GRU": 3, "LSTM": 4}


def engine(path: pathlib.Path, operator: str) -> session.Engine:
    """Return a model of one layer with one cell."""
    weights = [
        onnx.helper.make_node(
            "Constant", [], [name], value=onnx.helper.make_tensor(name, FLOAT, [1, gates, size], [0.1] * gates * size)
        )
        for gates in [GATES[operator]]
        for name, size in (("w", 2), ("r", 1))
    ]
    layer = onnx.helper.make_node(operator, ["x", "w", "r"], ["y"], hidden_size=1)
    save_model(path, [*weights, layer], {"x": (FLOAT, ["T", "N", 2])}, {"y": (FLOAT, ["T", 1, "N", 1])})
    return session.open_engine(path, session.Options())


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("shape", [(3, 0, 2), (0, 3, 2), (0, 0, 2)])
def test_a_request_of_nothing_is_refused_and_does_not_end_the_process(
    tmp_path: pathlib.Path, operator: str, shape: tuple[int, ...]
) -> None:
    found = engine(tmp_path / "m.onnx", operator)
    with pytest.raises(errors.InvalidRequest, match=f"input 'x' has the shape .* ONNX Runtime's {operator}"):
        found.run({"x": np.zeros(shape, np.float32)}, ["y"])
    (answer,) = found.run({"x": np.zeros((3, 1, 2), np.float32)}, ["y"])
    assert answer.shape == (3, 1, 1, 1)
