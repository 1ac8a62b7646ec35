"""Unpacks a model that comes as an archive: .zip, .tar, .tar.gz, told by their first bytes, not by their name.

An archive is untrusted. Only plain files and folders come out of it, each inside the target; links, devices, names that
lead out and names that come twice are refused whole. Bytes are counted as they are written, whatever the archive says
of itself, and so is what has to be read to find out.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 32
_CHUNK_BYTES: Final = 2**20
_MAX_HEADER_BYTES: Final = 2**20
"""Of one header of a tar: long names and their like are read into memory at once."""
_SLACK_BYTES: Final = MAX_FILES * 2048
"""What headers and padding may add to the files' own bytes."""
_BROKEN: Final = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError,
    ValueError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Tell whether a file is an archive by what it begins with; no ONNX file begins like that."""
    with path.open("rb") as file:
        start = file.read(265)
    return start[:4] in (b"PK\x03\x04", b"PK\x05\x06") or start[:3] == b"\x1f\x8b\x08" or start[257:262] == b"ustar"


def unpack(archive: Path, target: Path, limit_bytes: int) -> None:
    """Put what an archive holds into a folder, in place of what was there; all of it, or nothing.

    Raises:
        ModelUnusable: It is broken, holds what it must not, or unpacks to more than the limit.
    """
    part = target.with_name(target.name + ".unpacking")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        with contextlib.closing(_members(archive, limit_bytes)) as members:
            _write(members, part, limit_bytes)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    except _BROKEN as error:
        raise errors.ModelUnusable("ModelInvalid", f"the archive {archive.name} can't be unpacked: {error}") from error
    except OSError as error:
        raise errors.ModelUnusable("DownloadFailed", f"can't unpack {archive.name}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(members: Iterator[tuple[str, IO[bytes] | None]], folder: Path, limit_bytes: int) -> None:
    left = limit_bytes
    for count, (name, file) in enumerate(members, start=1):
        if count > MAX_FILES:
            raise errors.ModelUnusable("ModelTooLarge", f"the archive holds more than {MAX_FILES} files")
        place = folder.joinpath(*_parts(name))
        if file is None:
            place.mkdir(parents=True, exist_ok=True)
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as output:
                left = _copy(file, output, left, limit_bytes)
        except (FileExistsError, NotADirectoryError) as error:
            raise _refused(name, "is there twice") from error


def _copy(source: IO[bytes], output: IO[bytes], left: int, limit_bytes: int) -> int:
    while data := source.read(_CHUNK_BYTES):
        left -= len(data)
        if left < 0:
            raise _too_large(limit_bytes)
        output.write(data)
    return left


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in name.split("/", 1)[0]:
        raise _refused(name, "leads out of the archive's own folder")
    if len(parts) > MAX_DEPTH or any(len(part.encode()) > 255 for part in parts):
        raise _refused(name[:100], "is too deep, or too long a name")
    return parts


def _members(archive: Path, limit_bytes: int) -> Generator[tuple[str, IO[bytes] | None], None, None]:
    """Yield each member's name and its bytes; None: a folder."""
    with archive.open("rb") as raw:
        start = raw.read(2)
        raw.seek(0)
        if start == b"PK":
            yield from _zipped(raw)
        elif start == b"\x1f\x8b":
            with gzip.open(raw) as unzipped:
                yield from _tarred(unzipped, limit_bytes)
        else:
            yield from _tarred(raw, limit_bytes)


def _zipped(raw: IO[bytes]) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(raw) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(member.filename, "is a link or a device")
            if member.is_dir():
                yield member.filename, None
                continue
            with archive.open(member) as file:
                yield member.filename, file


def _tarred(raw: IO[bytes] | gzip.GzipFile, limit_bytes: int) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(fileobj=_Bounded(raw, limit_bytes), mode="r:") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            archive.members.clear()  # or it would keep every one it has seen
            if not (member.isreg() or member.isdir()):
                raise _refused(member.name, "is a link or a device")
            yield member.name, archive.extractfile(member) if member.isreg() else None


class _Bounded:
    """A stream that is read no further than the limit, and no header of it at once that is larger than headers are."""

    def __init__(self, raw: IO[bytes] | gzip.GzipFile, limit_bytes: int) -> None:
        self._raw = raw
        self._limit = limit_bytes

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES + 512:
            raise tarfile.ReadError("a header in it is larger than headers are")
        self._check(self._raw.tell() + size)
        return self._raw.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self._raw.seek(position)

    def tell(self) -> int:
        return self._raw.tell()

    def _check(self, position: int) -> None:
        if position > self._limit + _SLACK_BYTES:
            raise _too_large(self._limit)


def _refused(name: str, why: str) -> errors.ModelUnusable:
    return errors.ModelUnusable("ModelInvalid", f"the archive is refused: {name!r} in it {why}")


def _too_large(limit_bytes: int) -> errors.ModelUnusable:
    return errors.ModelUnusable("ModelTooLarge", f"the archive unpacks to more than the limit of {limit_bytes} bytes")
