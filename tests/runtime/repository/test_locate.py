"""Where a model's file is, told from its address and from what lies in a folder."""

from __future__ import annotations

import pathlib

import pytest

from foresail_runtime import contract, errors, repository
from foresail_runtime.repository import digest, locate


def describe(uri: str, **fields: str) -> contract.ModelDescription:
    return contract.ModelDescription(name=fields.pop("name", "m"), uri=uri, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uri", "path", "expected"),
    [
        ("https://example.test/m.onnx", None, True),
        ("http://example.test/m.onnx", None, True),
        ("file:///m.onnx", None, False),
        ("/m.onnx", None, False),
        ("pvc:claim/m.onnx", "/mnt/foresail/source/m.onnx", False),
        ("configmap:models/m.onnx", "/mnt/foresail/source/m.onnx", False),
    ],
)
def test_only_http_is_fetched(uri: str, path: str | None, expected: bool) -> None:
    assert locate.is_remote(contract.ModelDescription("m", uri, path=path)) is expected


def test_an_address_of_another_kind_says_what_there_is() -> None:
    with pytest.raises(errors.ModelUnusable, match="fetches http, https and mounted files") as caught:
        locate.is_remote(describe("ftp://example.test/m.onnx"))
    assert caught.value.reason == "SourceUnsupported"


FOLDERS: dict[str, tuple[list[str], str]] = {
    "one file": (["a.onnx", "labels.txt"], "a.onnx"),
    "the usual name among others": (["a.onnx", "model.onnx"], "model.onnx"),
    "numbered versions": (["1/model.onnx", "10/model.onnx", "9/model.onnx"], "10/model.onnx"),
}


@pytest.mark.parametrize("case", FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_has_one_model(tmp_path: pathlib.Path, case: tuple[list[str], str]) -> None:
    files, expected = case
    fill(tmp_path, files)
    assert locate.find_local(describe("pvc:x", path=str(tmp_path))) == tmp_path / expected


def fill(folder: pathlib.Path, files: list[str]) -> None:
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("files", "reason", "words"),
    [
        ([], "ModelNotFound", "holds no .onnx file"),
        (["a.onnx", "b.onnx"], "ModelAmbiguous", r"a\.onnx, b\.onnx: name one"),
    ],
    ids=["none", "two"],
)
def test_a_folder_that_has_not_one_model_says_so(
    tmp_path: pathlib.Path, files: list[str], reason: str, words: str
) -> None:
    fill(tmp_path, files)
    with pytest.raises(errors.ModelUnusable, match=words) as caught:
        locate.find_local(describe("pvc:x", path=str(tmp_path)))
    assert caught.value.reason == reason


def test_a_file_address_is_unquoted(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a b.onnx"
    path.write_bytes(b"x")
    assert locate.find_local(describe(path.as_uri())) == path


@pytest.mark.parametrize(
    ("uri", "name", "expected"),
    [
        ("https://h/a/m.onnx", "m", "m/1/m.onnx"),
        ("https://h/a/m.onnx?token=x#y", "m", "m/1/m.onnx"),
        ("https://h/", "m", "m/1/model.onnx"),
        ("https://h/..%2F..%2Fetc%2Fpasswd", "m", "m/1/etcpasswd"),
        ("https://h/%2e%2e", "m", "m/1/model.onnx"),
        ("https://h/m.onnx", "../x", "%2E%2E%2Fx/1/m.onnx"),
    ],
)
def test_a_download_stays_in_its_folder(uri: str, name: str, expected: str) -> None:
    folder = pathlib.Path("/f")
    assert locate.download_target(describe(uri, name=name), folder) == folder / expected


def test_secrets_stay_out_of_an_address_that_is_shown() -> None:
    assert repository.public_address("https://user:secret@h:1/m.onnx?token=secret#x") == "https://h:1/m.onnx"


def test_an_address_that_cant_be_read_is_not_shown() -> None:
    with pytest.raises(errors.ModelUnusable, match="write http") as caught:
        repository.public_address("https://user:secret@[::1/m.onnx")
    assert "secret" not in caught.value.message


def test_a_digest_is_compared_in_either_case(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"x")
    found = digest.of_file(path)
    digest.check(found, describe("x", digest=found.upper().replace("SHA256", "sha256")))
    digest.check(found, describe("x"))
    with pytest.raises(errors.ModelUnusable, match="expected sha256:00"):
        digest.check(found, describe("x", digest="sha256:00"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionError(13, "Permission denied", "/models/m.onnx"),
            "^/models/m.onnx can't be read: Permission denied: ",
        ),
        (OSError(5, "Input/output error"), "^the model's files can't be read: Input/output error: look at the volume"),
        (OSError("odd"), "can't be read: odd"),
    ],
)
def test_what_the_system_does_not_let_us_read_is_said_with_the_way_out(error: OSError, words: str) -> None:
    with pytest.raises(errors.ModelUnusable, match=words) as caught, repository.reading():
        raise error
    assert caught.value.reason == "ModelUnreadable"
