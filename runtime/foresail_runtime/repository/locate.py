"""Where a model's file is, or where it goes once it is fetched. Decides from names; looks at the disk only to find."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from foresail_runtime.contract import ModelDescription

REMOTE: Final = ("http", "https")
MODEL_FILE: Final = "model.onnx"


def is_remote(description: ModelDescription) -> bool:
    """Tell whether the model has to be fetched over the network.

    Raises:
        ModelUnusable: The address is of a kind that this runtime does not fetch.
    """
    if description.path is not None:
        return False
    scheme = urllib.parse.urlsplit(description.uri).scheme
    if scheme in REMOTE:
        return True
    if scheme in ("file", ""):
        return False
    raise errors.ModelUnusable(
        "SourceUnsupported", f"model address {description.uri!r}: this runtime fetches http, https and mounted files"
    )


def find_local(description: ModelDescription) -> Path:
    """Return the file of a model that is mounted or lies on this machine.

    A folder may hold `model.onnx`, one `.onnx` file of any name, or numbered folders (the highest is taken).

    Raises:
        ModelUnusable: There is no such file, or it can't be told which one is meant.
    """
    path = Path(description.path if description.path is not None else _path_of(description.uri))
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise errors.ModelUnusable("ModelNotFound", f"there is no file {path}: check the model's address")
    return path


def download_target(description: ModelDescription, folder: Path) -> Path:
    """Return where the fetched file goes: a folder of the model and version, the file's own name."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(description.uri).path.rstrip("/").rpartition("/")[2])
    safe = "".join(character for character in name if character.isalnum() or character in "._-").lstrip(".")
    return folder / _safe(description.name) / _safe(description.version) / (safe or MODEL_FILE)


def unpack_target(description: ModelDescription, folder: Path) -> Path:
    """Return the folder that an archive is unpacked into."""
    return folder / _safe(description.name) / f"{_safe(description.version)}.unpacked"


def find_unpacked(folder: Path) -> Path:
    """Return the model's file in what an archive held, past folders that hold nothing but another folder's content.

    Raises:
        ModelUnusable: There is none, or it can't be told which one is meant.
    """
    while not any(folder.glob("*.onnx")):
        inner = [path for path in folder.iterdir() if path.is_dir()]
        if len(inner) != 1 or inner[0].name.isdigit():
            break
        folder = inner[0]
    return _in_folder(folder)


def _safe(name: str) -> str:
    return urllib.parse.quote(name, safe="").replace(".", "%2E")


def _path_of(uri: str) -> str:
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.unquote(parts.path) if parts.scheme == "file" else uri


def _in_folder(folder: Path) -> Path:
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    found = sorted(path for path in folder.glob("*.onnx") if path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise errors.ModelUnusable(
            "ModelAmbiguous",
            f"{folder} holds {names}: name one of them in the model's address, or call it {MODEL_FILE}",
        )
    versions = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit() and path.is_dir())
    if versions:
        return _in_folder(folder / str(versions[-1]))
    raise errors.ModelUnusable("ModelNotFound", f"{folder} holds no .onnx file")
