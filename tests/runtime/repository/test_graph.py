"""Operators are read off the file, wherever a node may stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def test_what_is_no_model_has_none(tmp_path: pathlib.Path) -> None:
    for data in (b"", b"<html>"):
        (tmp_path / "m.onnx").write_bytes(data)
        assert graph.operators(tmp_path / "m.onnx") == frozenset()
