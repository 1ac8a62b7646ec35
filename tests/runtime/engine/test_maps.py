"""Scores in maps from class to score, as converters of scikit-learn, LightGBM and CatBoost give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.engine import maps, session
from foresail_runtime.tensors import TensorSpec

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

NAMES = ["sound", "fraud", "\u00e9trange"]


def zipped(path: pathlib.Path, labels: list[int] | list[str], value: int = onnx.TensorProto.FLOAT) -> pathlib.Path:
    """Save a model that says its input in maps of three classes."""
    texts = isinstance(labels[0], str)
    key = onnx.TensorProto.STRING if texts else onnx.TensorProto.INT64
    names: dict[str, Any] = {"classlabels_strings" if texts else "classlabels_int64s": labels}
    node = onnx.helper.make_node("ZipMap", ["x"], ["scores"], domain="ai.onnx.ml", **names)
    score = onnx.helper.make_tensor_type_proto(value, [])
    kind = onnx.helper.make_sequence_type_proto(onnx.helper.make_map_type_proto(key, score))
    graph = onnx.helper.make_graph(
        [node],
        "zipped",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3])],
        [onnx.helper.make_value_info("scores", kind)],
    )
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


@pytest.mark.parametrize(
    ("labels", "order", "classes"),
    [([0, 1, 2], [0, 1, 2], [0, 1, 2]), ([7, -3, 5], [1, 2, 0], [-3, 5, 7]), (NAMES, [1, 0, 2], sorted(NAMES))],
)
def test_maps_are_a_tensor_with_the_classes_in_ascending_order(
    tmp_path: pathlib.Path, labels: list[Any], order: list[int], classes: list[Any]
) -> None:
    engine = session.open_engine(zipped(tmp_path / "m.onnx", labels), session.Options())
    assert engine.signature.outputs == (TensorSpec("scores", tensors.FP32, (-1, -1)),)
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    (scores,) = engine.run({"x": rows}, ["scores"])
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, rows[:, order])
    assert engine.classes == {"scores": classes}


def test_no_rows_are_no_scores(tmp_path: pathlib.Path) -> None:
    engine = session.open_engine(zipped(tmp_path / "m.onnx", [0, 1, 2]), session.Options())
    (scores,) = engine.run({"x": np.zeros((0, 3), np.float32)}, ["scores"])
    assert len(scores) == 0
    assert engine.classes == {}


@pytest.mark.parametrize("other", [{"a": 1.0}, {"a": 1.0, "c": 2.0}])
def test_maps_of_what_was_found_are_no_tensor(other: dict[str, float]) -> None:
    with pytest.raises(errors.ModelFailed, match=r"'y' has .* so it is no tensor"):
        maps.to_array("y", [{"a": 1.0, "b": 2.0}, other])


def test_another_sequence_is_refused_with_the_way_out(tmp_path: pathlib.Path) -> None:
    node = onnx.helper.make_node("SequenceConstruct", ["x"], ["y"])
    kind = onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
    graph = onnx.helper.make_graph(
        [node],
        "sequence",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3])],
        [onnx.helper.make_value_info("y", kind)],
    )
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9), str(path))
    with pytest.raises(errors.ModelUnusable, match=r"'y' is a seq\(tensor.*export the model with a tensor") as caught:
        session.open_engine(path, session.Options())
    assert caught.value.reason == "UnsupportedSignature"


async def test_a_client_sees_a_tensor_and_what_its_columns_are(
    serve: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server: Server = await serve(zipped(tmp_path / "m.onnx", NAMES))
    _, described, _ = await server.call("GET", "/v2/models/m")
    assert described["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, -1]}]
    assert described["properties"]["classes.scores"] == '["fraud", "sound", "\\u00e9trange"]'
    rows = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}
    status, answer = await server.infer({"inputs": [rows]})
    assert status == 200
    assert answer["outputs"] == [
        {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [2.0, 1.0, 3.0, 5.0, 4.0, 6.0]}
    ]
