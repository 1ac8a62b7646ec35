"""What a model is used for where its metadata, or a labels file that may be another model's, does not fit it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import choose, detection, fit, pictures

if TYPE_CHECKING:
    import pathlib


def signature(*output: int, **metadata: str) -> tensors.Signature:
    return tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (-1, 3, 416, 416)),),
        (tensors.TensorSpec("output0", tensors.FP32, output),),
        {key.replace("__", "."): value for key, value in metadata.items()},
    )


def first_name(task: str, described: tensors.Signature, folder: pathlib.Path, count: int) -> str:
    (folder / "imagenet-labels.json").write_text(json.dumps([f"thing {number}" for number in range(count)]))
    made = pictures.describe(task, described, folder)
    assert made is not None
    return made.labels.name(0)


@pytest.mark.parametrize("output", [(-1, 84, 3549), (-1, 3549, 84), (-1, 84, -1)])
def test_a_detector_beside_a_classifier_s_labels_is_served_under_names_that_fit(
    output: tuple[int, ...], tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert first_name(choose.DETECTION, signature(*output), tmp_path, 1000) == "person"
    assert "is not used" in caplog.text


@pytest.mark.parametrize(
    ("task", "output"),
    [
        (choose.DETECTION, (-1, 84, 3549)),
        (choose.DETECTION, (-1, -1, -1)),
        (choose.CLASSIFICATION, (-1, 80)),
        (choose.CLASSIFICATION, (-1, -1)),
    ],
)
def test_names_that_fit_are_taken(
    task: str, output: tuple[int, ...], tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert first_name(task, signature(*output), tmp_path, 80) == "thing 0"
    assert not caplog.text


@pytest.mark.parametrize(
    ("names", "first"),
    [("['cat', 'dog']", "0"), ("{0: 'cat'", "0"), ("{0: 'cat', 2: 'hen'}", "cat"), ("cat, dog, hen", "cat")],
    ids=["too few", "cut short", "with a gap", "a line"],
)
def test_names_that_do_not_fit_keep_no_detector_from_being_served(
    names: str, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    task, made, _ = fit.find("auto", signature(-1, 7, 3549, names=names), None)
    assert (task, isinstance(made, detection.Detector)) == (choose.DETECTION, True)
    assert made is not None
    assert [made.labels.name(number) for number in (0, 1)] == [first, "dog" if names == "cat, dog, hen" else "1"]
    assert ("left aside" in caplog.text) == (first == "0")


def test_80_classes_of_other_names_are_not_called_by_coco_s() -> None:
    _, made, _ = fit.find("auto", signature(-1, 84, 3549, names="['a', 'b']"), None)
    assert made is not None
    assert made.labels.name(0) == "0"


@pytest.mark.parametrize("output", [(-1, 7, 3549), (-1, 7, -1)])
def test_with_a_task_that_someone_chose_names_that_do_not_fit_are_refused(output: tuple[int, ...]) -> None:
    with pytest.raises(errors.ModelUnusable, match="metadata names 2 classes, and its output"):
        fit.find(choose.DETECTION, signature(*output, names="['a', 'b']"), None)


def test_metadata_that_fits_nothing_leaves_tensors() -> None:
    assert fit.find("auto", signature(-1, 2, 50, task="detect"), None) == (choose.TENSORS, None, None)
    table = tensors.Signature(
        (tensors.TensorSpec("x", tensors.FP32, (-1, 3)),),
        (tensors.TensorSpec("y", tensors.FP32, (-1, 1)),),
        {"columns": "a,b"},
    )
    assert fit.find("auto", table, None).task == choose.TENSORS


def test_what_someone_wrote_for_this_server_is_refused_where_it_does_not_fit(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ModelUnusable, match=r"foresail\.std holds 0"):
        fit.find("auto", signature(-1, 10, foresail__std="0"), None)
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(errors.ModelUnusable, match=r"labels\.json can't be read"):
        fit.find("auto", signature(-1, 10), tmp_path)


def test_a_classifier_of_fewer_classes_than_names_goes_by_its_ids(tmp_path: pathlib.Path) -> None:
    assert first_name(choose.CLASSIFICATION, signature(-1, 10), tmp_path, 1000) == "0"


def test_the_model_s_own_names_come_first_and_need_no_warning(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = signature(-1, 6, 3549, names="['cat', 'dog']")
    assert first_name(choose.DETECTION, own, tmp_path, 1000) == "cat"
    assert not caplog.text
