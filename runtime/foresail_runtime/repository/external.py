"""Finds the files that a model keeps weights in, and refuses those that lie outside its own folder.

An ONNX file names such files by path. It is untrusted, so the names are read from the bytes before ONNX Runtime
opens any of them. The protobuf is walked by hand, from message to message that can hold a tensor, past everything
else: no field is decoded that is not on the way, and nothing is copied.
"""

from __future__ import annotations

import mmap
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 100
"""Graphs in graphs; protobuf itself stops at 100."""

_TAG_BITS: Final = 0xFFFFFFFF
"""What protobuf keeps of a field's tag, however long it is written."""

_FIXED_BYTES: Final = {1: 8, 5: 4}
"""By wire type."""

# onnx.proto: message → field number → the message in that field.
_FIELDS: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {13: "entry"},
}

_LOCATION: Final = "location"
"""The key of an external file's path. Bytes without it name no file, however another reader may understand them."""


class _BrokenError(Exception):
    """The bytes are no protobuf."""


def check(path: Path) -> None:
    """Check every external file of a model; a file that is no ONNX at all is left to ONNX Runtime's own words.

    Raises:
        ModelUnusable: One lies outside the model's folder, or is not there; or the file is broken, and may name one.
    """
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            found = sorted(set(locations(data)))
        except _BrokenError as error:
            if data.find(_LOCATION.encode()) < 0:
                return
            raise errors.ModelUnusable(
                "ModelInvalid", f"{path.name} is damaged, or is no ONNX model: export it, or copy it, again"
            ) from error
    folder = path.parent.resolve()
    for location in found:
        _check_location(path, folder, location)


def locations(data: bytes | mmap.mmap) -> Iterator[str]:
    """Yield the paths that a model's tensors name, as they are written.

    Raises:
        _BrokenError: The bytes are no model.
    """
    todo = [("model", 0, len(data), 0)]
    while todo:
        message, start, end, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise _BrokenError
        for number, first, last in _fields(data, start, end):
            inner = _FIELDS[message].get(number)
            if inner == "entry":
                key, value = _entry(data, first, last)
                if key == _LOCATION:
                    yield value
            elif inner is not None:
                todo.append((inner, first, last, depth + 1))


def _entry(data: bytes | mmap.mmap, start: int, end: int) -> tuple[str, str]:
    texts = {number: data[first:last].decode(errors="replace") for number, first, last in _fields(data, start, end)}
    return texts.get(1, ""), texts.get(2, "")


def _fields(data: bytes | mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of every field that has a length, but of those in groups, which ONNX has none of."""
    offset = start
    groups: list[int] = []
    while offset < end:
        tag, offset = _varint(data, offset, end)
        tag &= _TAG_BITS
        match tag & 7:
            case 0:
                _, offset = _varint(data, offset, end)
            case 1 | 5 as wire:
                offset += _FIXED_BYTES[wire]
            case 2:
                length, offset = _varint(data, offset, end)
                if offset + length > end:
                    raise _BrokenError
                if not groups:
                    yield tag >> 3, offset, offset + length
                offset += length
            case 3 if len(groups) < MAX_DEPTH:
                groups.append(tag >> 3)
            case 4 if groups and groups.pop() == tag >> 3:
                pass
            case _:
                raise _BrokenError
    if offset != end or groups:
        raise _BrokenError


def _varint(data: bytes | mmap.mmap, offset: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while offset < end and shift < 70:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7
    raise _BrokenError


def _check_location(path: Path, folder: Path, location: str) -> None:
    for kind in (PurePosixPath, PureWindowsPath):
        parts = kind(location)
        if parts.is_absolute() or ".." in parts.parts or not location:
            raise errors.ModelUnusable(
                "ExternalDataOutside",
                f"{path.name} keeps weights in {location!r}, which is outside the model's folder: save it with the "
                "weights inside, or beside it",
            )
    target = folder / location
    if not target.resolve().is_relative_to(folder):
        raise errors.ModelUnusable(
            "ExternalDataOutside", f"{path.name} keeps weights in {location!r}, a link that leads outside its folder"
        )
    if not target.is_file():
        raise errors.ModelUnusable(
            "ExternalDataMissing",
            f"{path.name} keeps weights in a second file, {location!r}, which is not beside it: save the model as one "
            "file (onnx.save with save_as_external_data=False), or serve the folder that has both",
        )
