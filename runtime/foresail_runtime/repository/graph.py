"""Walks an ONNX file, and tells which operators its nodes are.

The protobuf is walked by hand, from message to message that can hold what is looked for, past everything else: no
field is decoded that is not on the way, and nothing is copied.
"""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_DEPTH: Final = 100
"""Graphs in graphs; protobuf itself stops at 100."""

_TAG_BITS: Final = 0xFFFFFFFF
"""What protobuf keeps of a field's tag, however long it is written."""

_FIXED_BYTES: Final = {1: 8, 5: 4}
"""By wire type."""

_NUMBERS: Final = re.compile(
    rb"(?>(?>[%b][\x80-\xff]{0,9}[\x00-\x7f])++|(?>[%b].{4})++)++"
    % tuple(re.escape(bytes(range(8 | wire, 0x80, 8))) for wire in (0, 5)),
    re.DOTALL,
)
"""Fields of numbers one after the other: a tree ensemble has millions, and Python would take seconds over them."""

# onnx.proto: message → field number → the message in that field.
_FIELDS: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {4: "operator", 5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {13: "entry"},
}


class BrokenError(Exception):
    """The bytes are no protobuf."""


def operators(path: Path) -> frozenset[str]:
    """Return the operators of a model's nodes, those of graphs in graphs and of its functions, too; none if it is none.

    An ONNX Runtime session does not tell them.
    """
    if path.stat().st_size == 0:
        return frozenset()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return frozenset(data[first:last].decode(errors="replace") for first, last in walk(data, "operator"))
        except BrokenError:
            return frozenset()


def walk(data: bytes | mmap.mmap, wanted: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of every field of that kind, in others of it, too.

    Raises:
        BrokenError: The bytes are no model.
    """
    todo = [("model", 0, len(data), 0)]
    while todo:
        message, start, end, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise BrokenError
        for number, first, last in fields(data, start, end):
            inner = _FIELDS[message].get(number)
            if inner == wanted:
                yield first, last
            if inner in _FIELDS:
                todo.append((inner, first, last, depth + 1))


def fields(data: bytes | mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of every field that has a length, but of those in groups, which ONNX has none of."""
    offset = start
    groups: list[int] = []
    while offset < end:
        tag, offset = _varint(data, offset, end)
        tag &= _TAG_BITS
        match tag & 7:
            case 0 | 1 | 5 as wire:
                offset = offset + _FIXED_BYTES[wire] if wire else _varint(data, offset, end)[1]
                if numbers := _NUMBERS.match(data, offset, end):
                    offset = numbers.end()
            case 2:
                length, offset = _varint(data, offset, end)
                if offset + length > end:
                    raise BrokenError
                if not groups:
                    yield tag >> 3, offset, offset + length
                offset += length
            case 3 if len(groups) < MAX_DEPTH:
                groups.append(tag >> 3)
            case 4 if groups and groups.pop() == tag >> 3:
                pass
            case _:
                raise BrokenError
    if offset != end or groups:
        raise BrokenError


def _varint(data: bytes | mmap.mmap, offset: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while offset < end and shift < 70:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7
    raise BrokenError
