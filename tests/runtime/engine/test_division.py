"""A whole number that would end the process in a division never gets there, and any other does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import contract, errors, tensors
from foresail_runtime.engine import session
from foresail_runtime.offline import model
from foresail_runtime.repository import divisors, graph
from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

INT32, INT64 = onnx.TensorProto.INT32, onnx.TensorProto.INT64
DIVIDE = onnx.helper.make_node("Div", ["a", "b"], ["y"])


def save(path: pathlib.Path, kind: int = INT64) -> pathlib.Path:
    """Write a model that divides a by b."""
    return save_model(path, [DIVIDE], {"a": (kind, ["N"]), "b": (kind, ["N"])}, {"y": (kind, ["N"])})


@pytest.mark.parametrize(("kind", "dtype"), [(INT32, np.int32), (INT64, np.int64)])
def test_the_least_number_is_refused_and_does_not_end_the_process(
    tmp_path: pathlib.Path, kind: int, dtype: type[np.signedinteger[Any]]
) -> None:
    path = save(tmp_path / "m.onnx", kind)
    operators = graph.operators(path)
    found = session.open_engine(path, session.Options(open_divisors=divisors.are_open(path, operators)))
    least = np.iinfo(dtype).min
    with pytest.raises(errors.InvalidRequest, match=f"input 'a' holds {least}: .*; send {least + 1} or more"):
        found.run({"a": np.array([least], dtype), "b": np.array([-1], dtype)}, ["y"])
    (answer,) = found.run({"a": np.array([least + 1], dtype), "b": np.array([-1], dtype)}, ["y"])
    assert answer.tolist() == [-(least + 1)]
    with pytest.raises(errors.InvalidRequest, match="zero"):
        found.run({"a": np.array([1], dtype), "b": np.array([0], dtype)}, ["y"])
    (nothing,) = found.run({"a": np.zeros(0, dtype), "b": np.zeros(0, dtype)}, ["y"])
    assert nothing.shape == (0,)


async def test_a_server_outlives_it_and_answers_who_shares_the_run(
    serve: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server = await serve(save(tmp_path / "m.onnx"))
    shape = {"datatype": "INT64", "shape": [1]}
    status, answer = await server.infer(
        {"inputs": [shape | {"name": "a", "data": [-(2**63)]}, shape | {"name": "b", "data": [-1]}]}
    )
    again, _ = await server.infer({"inputs": [shape | {"name": "a", "data": [7]}, shape | {"name": "b", "data": [-1]}]})
    assert (status, again) == (400, 200), answer


def test_scoring_files_outlives_it(tmp_path: pathlib.Path) -> None:
    description = contract.ModelDescription("m", f"file://{save(tmp_path / 'm.onnx')}")
    found = model.open_model(description, tmp_path, 1)
    columns = {"a": [8, -(2**63), 6], "b": [-1, -1, 2]}
    kind = tensors.DATATYPES["INT64"]
    pieces, faults = found.run(
        [tensors.Tensor(name, kind, np.array(values)) for name, values in columns.items()], ("y",)
    )
    assert list(faults) == [1]
    assert model.join(pieces[0]).tolist() == [-8, 3]  # type: ignore[union-attr]


def constant(value: float, kind: int = INT64, name: str = "b") -> onnx.TensorProto:
    return onnx.helper.make_tensor(name, kind, [1], [value])


BRANCH = onnx.helper.make_graph([DIVIDE], "inner", [], [onnx.helper.make_tensor_value_info("y", INT64, ["N"])])
CASES: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto], bool]] = {
    "what a request says": ([DIVIDE], [], True),
    "an initializer": ([DIVIDE], [constant(2)], False),
    "an initializer of -1": ([DIVIDE], [constant(-1)], True),
    "an initializer of -1 in bytes": ([DIVIDE], [onnx.numpy_helper.from_array(np.array([-1]), "b")], True),
    "another's initializer": ([DIVIDE], [constant(2, name="c")], True),
    "an initializer of floats": ([DIVIDE], [constant(-1.0, FLOAT)], False),
    "a constant": ([onnx.helper.make_node("Constant", [], ["b"], value_int=2), DIVIDE], [], False),
    "a constant of -1": ([onnx.helper.make_node("Constant", [], ["b"], value_int=-1), DIVIDE], [], True),
    "a root, which is a float": ([onnx.helper.make_node("Sqrt", ["x"], ["b"]), DIVIDE], [], False),
    "in a graph in the graph": ([onnx.helper.make_node("If", ["c"], ["z"], then_branch=BRANCH)], [], True),
    "no division": ([onnx.helper.make_node("Mod", ["a", "b"], ["y"])], [], False),
    "half a division": ([onnx.helper.make_node("Div", ["a"], ["y"])], [], False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_divisors_are_told_from_what_can_be_no_whole_minus_one(
    tmp_path: pathlib.Path, case: tuple[list[onnx.NodeProto], list[onnx.TensorProto], bool]
) -> None:
    nodes, initializers, expected = case
    path = tmp_path / "m.onnx"
    made = onnx.helper.make_graph(nodes, "g", [], [], initializer=initializers)
    path.write_bytes(onnx.helper.make_model(made).SerializeToString())
    assert divisors.are_open(path, graph.operators(path)) is expected


def test_a_constant_in_another_file_and_a_function_are_not_vouched_for(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.onnx"
    outside = onnx.TensorProto(name="b", data_type=INT64, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="weights")
    made = onnx.helper.make_graph([DIVIDE], "g", [], [], initializer=[outside])
    path.write_bytes(onnx.helper.make_model(made).SerializeToString())
    assert divisors.are_open(path, graph.operators(path))
    function = onnx.helper.make_function("d", "f", ["a", "b"], ["y"], [DIVIDE], [])
    whole = onnx.helper.make_model(
        onnx.helper.make_graph([], "g", [], [], initializer=[constant(2)]), functions=[function]
    )
    path.write_bytes(whole.SerializeToString())
    assert divisors.are_open(path, graph.operators(path))
