"""A model and the labels file beside it, which may be another model's."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from foresail_runtime import tensors
from foresail_runtime.tasks import choose, pictures

if TYPE_CHECKING:
    import pathlib


def signature(*output: int, **metadata: str) -> tensors.Signature:
    return tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (-1, 3, 416, 416)),),
        (tensors.TensorSpec("output0", tensors.FP32, output),),
        metadata,
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


def test_a_classifier_of_fewer_classes_than_names_goes_by_its_ids(tmp_path: pathlib.Path) -> None:
    assert first_name(choose.CLASSIFICATION, signature(-1, 10), tmp_path, 1000) == "0"


def test_the_model_s_own_names_come_first_and_need_no_warning(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = signature(-1, 6, 3549, names="['cat', 'dog']")
    assert first_name(choose.DETECTION, own, tmp_path, 1000) == "cat"
    assert not caplog.text
