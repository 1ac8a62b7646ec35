"""Tells whether a model may divide whole numbers by -1, which ends the process where the other is the least there is.

A `Div` is none of those where the file shows it: by a constant that holds no -1, or by what is never a whole number.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final, NamedTuple

from foresail_runtime.repository import graph

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

OPERATOR: Final = "Div"
_OF_FLOATS: Final = ("Sqrt", "Exp", "Sigmoid", "Softplus", "Tanh")
"""Operators that give floats only, and by which models divide: to norm a layer, to weigh attention."""
_MINUS_ONE: Final = b"\xff\xff\xff\xff"
"""In every way that a tensor or an attribute writes a whole -1; in a float it is part of what is no number."""

# onnx.proto's numbers of fields: of a node, a graph and a tensor.
_INPUT: Final = 1
_OUTPUT: Final = 2
_OPERATOR: Final = 4
_INITIALIZER: Final = 5
_TENSOR_NAME: Final = 8
_EXTERNAL_DATA: Final = 13


class _Node(NamedTuple):
    start: int
    end: int
    operator: str
    inputs: list[bytes]
    outputs: list[bytes]


def are_open(path: Path, operators: Collection[str]) -> bool:
    """Tell whether one of the model's divisors may be a whole -1; `operators` are what its nodes are."""
    if OPERATOR not in operators:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        nodes = [_node(data, *place) for place in graph.walk(data, "node")]
        divisions = [node for node in nodes if node.operator == OPERATOR]
        functions = list(graph.walk(data, "function"))  # whose names are their own
        if any(first <= node.start < last for node in divisions for first, last in functions):
            return True
        divisors = {name for node in divisions for name in node.inputs[1:2]}
        return not divisors <= {*_given(data, nodes), *_initializers(data, divisors)}


def _given(data: mmap.mmap, nodes: list[_Node]) -> Iterator[bytes]:
    """Yield the names of what nodes give that is never a whole -1."""
    for node in nodes:
        is_constant = node.operator == "Constant" and data.find(_MINUS_ONE, node.start, node.end) < 0
        if is_constant or node.operator in _OF_FLOATS:
            yield from node.outputs


def _initializers(data: mmap.mmap, wanted: Collection[bytes]) -> Iterator[bytes]:
    """Yield the names, of those wanted, of tensors in this file that hold no whole -1."""
    for place in graph.walk(data, "graph"):
        for number, first, last in graph.fields(data, *place):
            if number != _INITIALIZER:
                continue
            found = {field: (start, end) for field, start, end in graph.fields(data, first, last)}
            start, end = found.get(_TENSOR_NAME, (0, 0))
            name = data[start:end]
            if name in wanted and _EXTERNAL_DATA not in found and data.find(_MINUS_ONE, first, last) < 0:
                yield name


def _node(data: mmap.mmap, start: int, end: int) -> _Node:
    found: dict[int, list[bytes]] = {}
    for number, first, last in graph.fields(data, start, end):
        if number in (_INPUT, _OUTPUT, _OPERATOR):
            found.setdefault(number, []).append(data[first:last])
    operator = found.get(_OPERATOR, [b""])[-1].decode(errors="replace")
    return _Node(start, end, operator, found.get(_INPUT, []), found.get(_OUTPUT, []))
