"""What is found in a folder of models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from foresail_runtime import errors
from foresail_runtime.repository import folder

if TYPE_CHECKING:
    import pathlib


def put(root: pathlib.Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/1/model.onnx"], True),
        (["a/config.pbtxt"], True),
        (["a/foresail.json"], True),
        (["model.onnx", "a/1/model.onnx"], False),
        (["1/model.onnx"], False),
        (["a/model.onnx"], False),
        ([".git/1/x"], False),
        ([], False),
    ],
    ids=str,
)
def test_a_folder_of_models_is_told_from_a_model_s_own(
    tmp_path: pathlib.Path, names: list[str], expected: bool
) -> None:
    put(tmp_path, *names)
    assert folder.is_repository(tmp_path) is expected


def test_models_and_versions_are_found_and_the_rest_is_left_alone(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "a/1/model.onnx", "a/10/model.onnx", "a/notes/1.txt", "a/02/model.onnx", "b/7/net.onnx", "README.md")
    (tmp_path / "a" / "3").mkdir()
    found = folder.look(tmp_path)
    assert {name: sorted(listing.versions) for name, listing in found.items()} == {"a": ["1", "10"], "b": ["7"]}
    assert found["a"].wanted() == ("10",)


def test_a_listing_changes_with_a_file_and_with_nothing_else(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "a/1/model.onnx", "a/1/weights.bin")
    before = folder.look(tmp_path)
    assert folder.look(tmp_path) == before
    os.utime(tmp_path / "a/1/weights.bin", ns=(1, 1))
    changed = folder.look(tmp_path)
    assert changed != before
    (tmp_path / "a/1/model.onnx").chmod(0o600)
    hidden = folder.look(tmp_path)
    assert hidden != changed, "what can be read now may be loaded now"
    put(tmp_path, "a/foresail.json")
    assert folder.look(tmp_path)["a"].versions["1"] != hidden["a"].versions["1"]
    assert "is not JSON" in folder.look(tmp_path)["a"].problem


def test_a_folder_that_is_not_there_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ModelUnusable, match=r"can't be read: No such file"):
        folder.look(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("names", "file", "expected"),
    [
        (["model.onnx", "other.onnx"], None, "model.onnx"),
        (["net.onnx"], None, "net.onnx"),
        (["net.onnx", "other.onnx"], "other.onnx", "other.onnx"),
        (["net.onnx", "other.onnx"], None, "net.onnx, other.onnx"),
        (["net.txt"], None, "no .onnx file"),
        (["net.onnx"], "gone.onnx", "there is no file 'gone.onnx'"),
    ],
)
def test_a_version_has_one_file(tmp_path: pathlib.Path, names: list[str], file: str | None, expected: str) -> None:
    put(tmp_path, *names)
    if expected in names:
        assert folder.find_file(tmp_path, file) == tmp_path / expected
        return
    with pytest.raises(errors.ModelUnusable, match=expected):
        folder.find_file(tmp_path, file)
