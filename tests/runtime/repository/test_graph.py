"""Operators are read off the file, wherever a node may stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from foresail_runtime.repository import graph
from tests.runtime.repository.test_external import save

if TYPE_CHECKING:
    import pathlib


@pytest.mark.parametrize(
    ("where", "expected"),
    [("constant", {"Add", "Constant"}), ("subgraph", {"Add", "If", "Constant"}), ("function", {"Add", "Constant"})],
)
def test_operators_are_found_in_graphs_and_functions(tmp_path: pathlib.Path, where: str, expected: set[str]) -> None:
    assert graph.operators(save(tmp_path / "m.onnx", None, where)) == expected


def test_numbers_between_are_passed_however_long_they_are(tmp_path: pathlib.Path) -> None:
    node = onnx.helper.make_node("First", [], [], ints=[0, 127, 128, 2**62, -1], floats=[0.0, 1e30, -2.5], one=7)
    whole = onnx.ModelProto(ir_version=8)
    whole.graph.node.extend([node, onnx.helper.make_node("Second", [], [], inner=whole.graph)])
    data = whole.SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    assert graph.operators(tmp_path / "m.onnx") == {"First", "Second"}
    for number in (data[-1:], b"\x40" + b"\x80" * 10 + b"\x00", b"\x3d" + bytes(3), b"\x40\x80"):
        with pytest.raises(graph.BrokenError):
            list(graph.walk(b"\x08\x01\x15" + bytes(4) + b"\x10\xff\x01" + number, "operator"))


def test_what_is_no_model_has_none(tmp_path: pathlib.Path) -> None:
    for data in (b"", b"<html>"):
        (tmp_path / "m.onnx").write_bytes(data)
        assert graph.operators(tmp_path / "m.onnx") == frozenset()
