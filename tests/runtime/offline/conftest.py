"""The command as a user runs it, in this process, and models of one behaviour each."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from foresail_runtime import __main__ as cli

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator, Sequence

FLOAT, INT64, STRING = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.STRING


@pytest.fixture
def foresail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Run the command with these arguments and return its exit status."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr("os._exit", _raise)

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        return int(ended.value.code or 0)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _raise(code: int) -> None:
    raise SystemExit(code)


@pytest.fixture
def lookup(tmp_path: pathlib.Path) -> pathlib.Path:
    """A model that looks `place` up in a list of three, and fails where there is none."""
    values = onnx.helper.make_tensor("values", FLOAT, [3], [10.0, 20.0, float("nan")])
    node = onnx.helper.make_node("Gather", ["values", "place"], ["value"])
    return _save(tmp_path / "lookup.onnx", [node], [("place", INT64, ["N", 1])], [("value", FLOAT, ["N", 1])], [values])


@pytest.fixture
def two_columns(tmp_path: pathlib.Path) -> pathlib.Path:
    """A model of two columns, `age` and `name`, that gives both back."""
    nodes = [onnx.helper.make_node("Identity", [one], [other]) for one, other in (("age", "years"), ("name", "who"))]
    inputs: list[tuple[str, int, list[int | str]]] = [("age", FLOAT, ["N", 1]), ("name", STRING, ["N", 1])]
    return _save(tmp_path / "two.onnx", nodes, inputs, [("years", FLOAT, ["N", 1]), ("who", STRING, ["N", 1])])


@pytest.fixture
def matrix(tmp_path: pathlib.Path) -> pathlib.Path:
    """A model of a 2 x 2 tensor a row that gives it back."""
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    return _save(tmp_path / "matrix.onnx", [node], [("x", FLOAT, ["N", 2, 2])], [("y", FLOAT, ["N", 2, 2])])


def _save(
    path: pathlib.Path,
    nodes: list[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, Sequence[int | str]]],
    outputs: Sequence[tuple[str, int, Sequence[int | str]]],
    constants: list[onnx.TensorProto] | None = None,
) -> pathlib.Path:
    sides = [[onnx.helper.make_tensor_value_info(*one) for one in side] for side in (inputs, outputs)]
    graph = onnx.helper.make_graph(nodes, "test", sides[0], sides[1], constants or [])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9), str(path))
    return path


@pytest.fixture
def lines() -> Callable[[pathlib.Path], list[dict[str, Any]]]:
    return lambda path: [json.loads(line) for line in path.read_text().splitlines()]
