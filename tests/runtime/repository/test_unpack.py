"""Archives: what is in them comes out, what must not be in them does not."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from foresail_runtime import contract, errors
from foresail_runtime.repository import fetch, unpack

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

LIMIT = 1_000_000
Entry = tuple[str, bytes]


def tarred(*entries: Entry, packed: bool = True, change: Callable[[tarfile.TarInfo], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if packed else "w") as archive:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if change is not None:
                change(member)
            archive.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return buffer.getvalue()


def zipped(*entries: Entry, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = mode << 16
            archive.writestr(member, data)
    return buffer.getvalue()


def unpacked(folder: pathlib.Path, data: bytes) -> dict[str, bytes]:
    (folder / "archive").write_bytes(data)
    assert unpack.is_archive(folder / "archive")
    unpack.unpack(folder / "archive", folder / "target", LIMIT)
    found = (folder / "target").rglob("*")
    return {str(path.relative_to(folder / "target")): path.read_bytes() for path in found if path.is_file()}


FILES: list[Entry] = [("model.onnx", b"x" * 5000), ("weights/a.bin", b"y")]


@pytest.mark.parametrize(
    "data",
    [tarred(*FILES), tarred(*FILES, packed=False), zipped(*FILES)],
    ids=["tar.gz", "tar", "zip"],
)
def test_files_come_out_as_they_went_in(tmp_path: pathlib.Path, data: bytes) -> None:
    assert unpacked(tmp_path, data) == dict(FILES)
    assert unpacked(tmp_path, data) == dict(FILES), "in place of what was there"


def link(kind: bytes, target: str) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, target, 0

    return change


def long_name(_: Any = None) -> bytes:
    """A tar whose first header says that a name of 100 MB follows, and it does."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 100_000_000
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(100_000_000 + 1024))


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "out by dots": (tarred(("../evil", b"x")), "ModelInvalid", "'../evil' in it leads out"),
    "out by dots within": (zipped(("a/../../evil", b"x")), "ModelInvalid", "leads out"),
    "absolute": (tarred(("/etc/evil", b"x")), "ModelInvalid", "leads out"),
    "a drive": (zipped(("C:/evil", b"x")), "ModelInvalid", "leads out"),
    "backslashes": (tarred(("..\\evil", b"x")), "ModelInvalid", "leads out"),
    "a symbolic link": (tarred(("a", b""), change=link(tarfile.SYMTYPE, "/etc")), "ModelInvalid", "is a link"),
    "a hard link": (tarred(("a", b""), change=link(tarfile.LNKTYPE, "/etc/passwd")), "ModelInvalid", "is a link"),
    "a device": (tarred(("a", b""), change=link(tarfile.CHRTYPE, "")), "ModelInvalid", "is a link or a device"),
    "a link in a zip": (zipped(("a", b"/etc"), mode=stat.S_IFLNK | 0o777), "ModelInvalid", "is a link"),
    "a name twice": (tarred(("a", b"x"), ("a", b"y")), "ModelInvalid", "is there twice"),
    "a file as a folder": (tarred(("a", b"x"), ("a/b", b"y")), "ModelInvalid", "is there twice"),
    "a deep one": (tarred(("/".join("a" * 40), b"x")), "ModelInvalid", "is too deep"),
    "a tar bomb": (tarred(("a", bytes(LIMIT + 1))), "ModelTooLarge", "more than the limit of 1000000 bytes"),
    "a zip bomb": (zipped(("a", bytes(LIMIT + 1))), "ModelTooLarge", "more than the limit of 1000000 bytes"),
    "a bomb in pieces": (zipped(*((str(n), bytes(200_000)) for n in range(6))), "ModelTooLarge", "more than the"),
    "a bomb in a header": (long_name(), "ModelInvalid", "larger than headers are"),
    "a broken tar": (tarred(*FILES)[:60], "ModelInvalid", "can't be unpacked"),
    "a broken zip": (zipped(*FILES)[:60], "ModelInvalid", "can't be unpacked"),
    "a gzip of something else": (gzip.compress(b"hello" * 1000), "ModelInvalid", "can't be unpacked"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_must_not_be_in_an_archive_is_refused_and_leaves_nothing(
    tmp_path: pathlib.Path, case: tuple[bytes, str, str]
) -> None:
    data, reason, words = case
    with pytest.raises(errors.ModelUnusable) as caught:
        unpacked(tmp_path, data)
    assert (caught.value.reason, words in caught.value.message) == (reason, True), caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_too_many_files_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_FILES", 3)
    with pytest.raises(errors.ModelUnusable, match="more than 3 files"):
        unpacked(tmp_path, zipped(*((str(number), b"") for number in range(4))))


@pytest.mark.parametrize("inner", ["model.onnx", "mlp/net.onnx", "export/mlp/2/model.onnx"])
async def test_a_model_in_an_archive_is_found(tmp_path: pathlib.Path, mlp: pathlib.Path, inner: str) -> None:
    archive = tmp_path / "mlp.tar.gz"
    archive.write_bytes(tarred((inner, mlp.read_bytes()), ("README.md", b"hello")))
    described = contract.ModelDescription(name="m", uri=archive.as_uri(), path=str(archive))
    path = await fetch.fetch(described, tmp_path / "downloads", lambda *_: None)
    assert path.read_bytes() == mlp.read_bytes()
    assert path.is_relative_to(tmp_path / "downloads")


def test_a_model_is_no_archive(mlp: pathlib.Path) -> None:
    assert not unpack.is_archive(mlp)
