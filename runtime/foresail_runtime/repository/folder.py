"""Looks at a folder of models, `<model>/<version>/model.onnx`, and says what is there and whether it changed."""

from __future__ import annotations

import dataclasses
import stat
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors, repository
from foresail_runtime.repository import config, layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from foresail_runtime.repository.config import Config

MAX_MODELS: Final = 1000
_LOST_AND_FOUND: Final = "lost+found"
"""On every new ext4 volume; only root may look into it."""
_MAX_FILES: Final = 10_000
_MAX_CONFIG_BYTES: Final = 1_000_000

Mark = tuple[str, int, int, int, int]
Fingerprint = tuple[Mark, ...]
"""Name, size, mode, time of change and inode of each file: equal while nothing was written, and nobody's rights to read
it were changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """One model of the folder, as it was found."""

    name: str
    config: Config | None
    """None: its settings can't be read; `problem` says why."""
    versions: Mapping[str, tuple[Path, Fingerprint]]
    """Each version's folder and files; the settings are among the files, since they change how a version is served."""
    problem: str = ""

    def wanted(self) -> tuple[str, ...]:
        """Return the versions that are to be served, oldest first."""
        return () if self.config is None else layout.choose(self.config.policy, tuple(self.versions))


def is_repository(path: Path) -> bool:
    """Tell whether a folder holds models, each in a folder of its own, and is not itself one."""
    if not path.is_dir() or any(path.glob("*.onnx")):
        return False
    if any(layout.is_version(child.name) for child in path.iterdir() if child.is_dir()):
        return False
    return any(_is_model(child) for child in path.iterdir())


def look(root: Path) -> dict[str, Listing]:
    """Return every model of the folder by its name; what can't be read is one with that problem.

    Raises:
        ModelUnusable: The folder itself can't be read, or has too many models in it.
    """
    try:
        children = sorted(root.iterdir())
    except OSError as error:
        raise errors.ModelUnusable("ModelNotFound", f"the folder {root} can't be read: {error.strerror}") from error
    found = {child.name: listing for child in children if (listing := _look(child)) is not None}
    if len(found) > MAX_MODELS:
        raise errors.ModelUnusable("ModelTooLarge", f"{root} has {len(found)} models, {MAX_MODELS} are served at most")
    return found


def find_file(folder: Path, file: str | None) -> Path:
    """Return the model's file in a version's folder.

    Raises:
        ModelUnusable: There is none, or it can't be told which is meant.
    """
    if file is not None:
        if not (folder / file).is_file():
            raise errors.ModelUnusable(
                "ModelNotFound", f"there is no file {file!r} in {folder.parent.name}/{folder.name}"
            )
        return folder / file
    if (folder / "model.onnx").is_file():
        return folder / "model.onnx"
    found = sorted(path for path in folder.glob("*.onnx") if path.is_file())
    if len(found) == 1:
        return found[0]
    has = ", ".join(path.name for path in found) or "no .onnx file"
    where = f"{folder.parent.name}/{folder.name}"
    raise errors.ModelUnusable(
        "ModelAmbiguous" if found else "ModelNotFound", f"{where} has {has}: call the model's file model.onnx"
    )


def _look(child: Path) -> Listing | None:
    try:
        with repository.reading():
            return _list(child) if _is_model(child) else None
    except errors.ModelUnusable as failure:
        return Listing(child.name, None, {}, failure.message)


def _is_model(child: Path) -> bool:
    if child.name.startswith(".") or child.name == _LOST_AND_FOUND or not child.is_dir():
        return False
    own = (child / config.OWN_FILE, child / config.TRITON_FILE)
    return any(path.is_file() for path in own) or any(True for _ in _versions(child))


def _versions(folder: Path) -> Iterator[Path]:
    try:
        for child in folder.iterdir():
            if layout.is_version(child.name) and child.is_dir():
                yield child
    except OSError:
        return


def _list(folder: Path) -> Listing:
    texts = {name: _text(folder / name) for name in (config.OWN_FILE, config.TRITON_FILE)}
    settings = tuple(mark for name in texts for mark in _marks(folder / name, name))
    versions = {}
    for version in _versions(folder):
        files = tuple(mark for path in _files(version) for mark in _marks(path, str(path.relative_to(version))))
        if files:
            versions[version.name] = (version, settings + files)
    try:
        read = config.read(folder.name, texts[config.OWN_FILE], texts[config.TRITON_FILE])
    except errors.ModelUnusable as failure:
        return Listing(folder.name, None, versions, failure.message)
    return Listing(folder.name, read, versions)


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CONFIG_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None


def _files(folder: Path) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        found.append(path)
        if len(found) > _MAX_FILES:
            break
    return sorted(found)


def _marks(path: Path, name: str) -> list[Mark]:
    try:
        status = path.stat()
    except OSError:
        return []
    mark = (name, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ino)
    return [mark] if stat.S_ISREG(status.st_mode) else []
