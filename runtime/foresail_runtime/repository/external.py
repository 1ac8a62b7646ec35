"""Finds the files that a model keeps weights in, and refuses those that lie outside its own folder.

An ONNX file names such files by path. It is untrusted, so the names are read from the bytes before ONNX Runtime
opens any of them.
"""

from __future__ import annotations

import mmap
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors
from foresail_runtime.repository import graph

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCATION: Final = "location"
"""The key of an external file's path. Bytes without it name no file, however another reader may understand them."""


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
        except graph.BrokenError as error:
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
        BrokenError: The bytes are no model.
    """
    for first, last in graph.walk(data, "entry"):
        key, value = _entry(data, first, last)
        if key == _LOCATION:
            yield value


def _entry(data: bytes | mmap.mmap, start: int, end: int) -> tuple[str, str]:
    texts = {
        number: data[first:last].decode(errors="replace") for number, first, last in graph.fields(data, start, end)
    }
    return texts.get(1, ""), texts.get(2, "")


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
