"""Models whose tensors ONNX Runtime's binding takes in no one way: text, numbers that numpy lacks, and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import errors
from foresail_runtime.engine import session
from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Sequence

TEXT, BITS = onnx.TensorProto.STRING, onnx.TensorProto.BFLOAT16
PAIR = ("N", 2)
BF16 = np.array([[0x3F80, 0x4000]], np.uint16)
"""1 and 2."""


def cast(source: str, result: str, kind: int) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [source], [result], to=kind)


def same(source: str, result: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Identity", [source], [result])


def texts(*values: bytes) -> Any:
    made = np.empty((1, len(values)), object)
    made[0] = values
    return made


@pytest.fixture
def text_and_bits(tmp_path: pathlib.Path) -> pathlib.Path:
    """A model of text and BF16 that gives the text, and the numbers as FP32."""
    nodes = [same("s", "t"), cast("b", "f", FLOAT)]
    inputs, outputs = {"s": (TEXT, PAIR), "b": (BITS, PAIR)}, {"t": (TEXT, PAIR), "f": (FLOAT, PAIR)}
    return save_model(tmp_path / "in.onnx", nodes, inputs, outputs)


def test_text_and_bf16_go_in_together(text_and_bits: pathlib.Path) -> None:
    engine = session.open_engine(text_and_bits, session.Options())
    sent = texts(b"a", "ü".encode())
    text, numbers = engine.run({"s": sent, "b": BF16}, ["t", "f"])
    np.testing.assert_array_equal(text, sent)
    np.testing.assert_array_equal(numbers, [[1.0, 2.0]])
    assert engine.run({"s": sent, "b": BF16}, ["f"])[0].tolist() == [[1.0, 2.0]]


def test_text_and_bf16_come_out_together(tmp_path: pathlib.Path) -> None:
    nodes = [same("b", "c"), cast("b", "f", FLOAT), cast("f", "t", TEXT)]
    path = save_model(tmp_path / "out.onnx", nodes, {"b": (BITS, PAIR)}, {"t": (TEXT, PAIR), "c": (BITS, PAIR)})
    engine = session.open_engine(path, session.Options())
    text, numbers = engine.run({"b": BF16}, ["t", "c"])
    assert text.tolist() == [[b"1", b"2"]]
    np.testing.assert_array_equal(numbers, BF16)
    (nothing,) = engine.run({"b": BF16[:0]}, ["t"])
    assert nothing.shape == (0, 2)


async def test_they_are_served(serve: Callable[..., Any], text_and_bits: pathlib.Path) -> None:
    server = await serve(text_and_bits)
    inputs = [
        {"name": "s", "shape": [1, 2], "datatype": "BYTES", "data": ["a", "b"]},
        {"name": "b", "shape": [1, 2], "datatype": "BF16", "data": [1.0, 2.0]},
    ]
    status, document = await server.infer({"inputs": inputs})
    assert (status, [output["data"] for output in document["outputs"]]) == (200, [["a", "b"], [1.0, 2.0]])


def zip_map(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], path: pathlib.Path) -> pathlib.Path:
    """Save a model of BF16 `b` that gives maps of two classes, and perhaps BF16 `c`."""
    zipped = onnx.helper.make_node("ZipMap", ["f"], ["m"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    score = onnx.helper.make_tensor_type_proto(FLOAT, [])
    kind = onnx.helper.make_map_type_proto(onnx.TensorProto.INT64, score)
    kinds = {"m": onnx.helper.make_sequence_type_proto(kind), "c": onnx.helper.make_tensor_type_proto(BITS, PAIR)}
    infos = [onnx.helper.make_value_info(name, kinds[name]) for name in outputs]
    graph = onnx.helper.make_graph(
        [*nodes, zipped], "test", [onnx.helper.make_tensor_value_info("b", BITS, PAIR)], infos
    )
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


def test_bf16_goes_in_where_maps_come_out(tmp_path: pathlib.Path) -> None:
    path = zip_map([cast("b", "f", FLOAT)], ["m"], tmp_path / "m.onnx")
    engine = session.open_engine(path, session.Options())
    assert engine.run({"b": BF16}, ["m"])[0].tolist() == [[1.0, 2.0]]
    assert engine.classes == {"m": [0, 1]}


@pytest.mark.parametrize("beside", ["string inputs", "maps"])
def test_bf16_that_comes_out_beside_what_no_value_can_carry_is_refused_with_the_fix(
    tmp_path: pathlib.Path, beside: str
) -> None:
    if beside == "maps":
        path = zip_map([cast("b", "f", FLOAT), same("b", "c")], ["m", "c"], tmp_path / "m.onnx")
    else:
        inputs, outputs = {"s": (TEXT, PAIR), "x": (FLOAT, PAIR)}, {"t": (TEXT, PAIR), "c": (BITS, PAIR)}
        path = save_model(tmp_path / "m.onnx", [same("s", "t"), cast("x", "c", BITS)], inputs, outputs)
    with pytest.raises(errors.ModelUnusable, match=f"bfloat16 beside {beside}.*put a Cast to float") as caught:
        session.open_engine(path, session.Options())
    assert caught.value.reason == "UnsupportedSignature"
