"""Outputs that look like a detector's by their shape, and are another's: refused, not read into wrong boxes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import detection

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

SIDE = 640
NO_SCORES = "what would be scores of classes goes from"
NO_PLACE = "every box that the model gives lies within its first"


def detections(output: Array) -> list[dict[str, Any]]:
    """What a detector without metadata answers to a grey picture."""
    specs = (tensors.TensorSpec("images", tensors.FP32, (1, 3, SIDE, SIDE)),)
    detector = detection.Detector(
        tensors.Signature(
            specs, (tensors.TensorSpec("output0", tensors.FP32, (-1, -1, -1) if output.ndim == 3 else (-1, 7)),), {}
        )
    )
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (90, 90, 90)).save(buffer, "PNG")
    given = (tensors.Tensor("output0", tensors.FP32, output.astype(np.float32)),)
    answer = detector.answer(detector.prepare(buffer.getvalue()), given, detector.read_options({}))
    found: list[dict[str, Any]] = answer["detections"]
    return found


def columns(*rows: tuple[float, ...], anchors: int = 8400) -> Array:
    """An output of the given anchors and of many that found nothing, spread over the picture."""
    output = np.zeros((1, len(rows[0]), anchors))
    output[0, :4] = np.linspace(4, SIDE - 4, anchors)
    output[0, :, : len(rows)] = np.array(rows).T
    return output


def rows(*found: tuple[float, ...], anchors: int = 25200) -> Array:
    return columns(*found, anchors=anchors).transpose(0, 2, 1)


def last(*found: tuple[float, ...]) -> Array:
    """An output in which suppression is done: 300 rows, most of them nothing."""
    output = np.zeros((1, 300, 6))
    output[0, : len(found)] = np.array(found).reshape(-1, 6)
    return output


READ = [
    columns((80, 220, 80, 80, 0.9, 0.1, 0.0)),
    columns((80, 220, 80, 80, 1.004, -0.004, 0.0)),  # numbers that were quantised
    rows((80, 220, 80, 80, 0.9, 1.0, 0.0)),
    last((40, 180, 120, 260, 0.9, 3), (0, 0, 0, 0, 0, -1), (0, 0, 0, 0, -1, -1)),
    last((40, 180, 120, 260, 0.9, 3), (40, 180, 120, 260, 0.8, 3), (90, 180, 80, 260, 0.4, 3)),
    np.array([(0, 40, 180, 120, 260, 3, 0.9), (1, 40, 180, 120, 260, 3, 0.9)]),
]


@pytest.mark.parametrize("output", READ)
def test_what_a_detector_gives_raises_no_doubt(output: Array) -> None:
    assert detections(output)[0]["box"] == [40.0, 180.0, 120.0, 260.0]


MISREAD: list[tuple[str, Callable[[], Array], str]] = [
    ("turned boxes", lambda: columns((80, 220, 80, 80, 0.9, 0.0, 0.7), (300, 300, 9, 9, 0.0, 0.0, 1.57)), NO_SCORES),
    ("a pose", lambda: columns((80, 220, 80, 80, 0.9, 81.0, 200.0, 0.8)), NO_SCORES),
    ("scores before their sigmoid", lambda: columns((80, 220, 80, 80, 0.9, -3.0, -4.0)), NO_SCORES),
    ("objectness before its sigmoid", lambda: rows((80, 220, 80, 80, 0.9, 0.9), (9, 9, 9, 9, -6.0, 0.0)), NO_SCORES),
    ("a class's number behind a score", lambda: rows((80, 220, 80, 80, 0.9, 4.0, 0.3), anchors=8400), NO_SCORES),
    ("the class first", lambda: last((3, 0.9, 40, 180, 120, 260)), NO_SCORES),
    ("the class before the score", lambda: last((40, 180, 120, 260, 1, 0.9)), "is no whole number"),
    ("boxes by their middle", lambda: last((80, 220, 40, 40, 0.9, 3), (80, 20, 20, 60, 0.8, 2)), "most boxes end"),
    ("boxes of parts", lambda: last((0.1, 0.2, 0.3, 0.4, 0.9, 3)), NO_PLACE),
    ("boxes of a larger picture", lambda: last((1300, 500, 1500, 700, 0.9, 3)), "pixels of another size, a constant"),
    ("the class before the score, in a batch", lambda: np.array([(0, 40, 180, 120, 260, 0.9, 1)]), "no whole number"),
]


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in MISREAD], ids=[case[0] for case in MISREAD])
def test_numbers_that_a_layout_can_not_hold_are_refused(make: Callable[[], Array], words: str) -> None:
    with pytest.raises(errors.ModelFailed, match=words) as caught:
        detections(make())
    assert "set the task to tensors" in caught.value.message


def test_a_box_that_stands_out_of_the_picture_raises_no_doubt() -> None:
    (found,) = detections(last((600, 600, 760, 760, 0.9, 3)))
    assert found["box"] == [600.0, 600.0, 640.0, 640.0]


def test_boxes_in_cells_of_the_grid_are_refused() -> None:
    """YOLOX leaves it to who reads them to make pixels of them: distances in cells, and logarithms of sizes."""
    output = np.zeros((1, 8400, 85))
    output[0, :, :4] = (0.4, 0.6, 3.9, 4.1)
    output[0, 0, 4:6] = 0.9
    with pytest.raises(errors.ModelFailed, match="in cells, as YOLOX exports them without `--decode_in_inference`"):
        detections(output)


def test_a_picture_in_which_nothing_is_found_raises_no_doubt() -> None:
    for output in (columns((0,) * 84), rows((0,) * 85), last(), np.zeros((0, 7)), np.zeros((1, 84, 8400))):
        assert detections(output) == []


@pytest.mark.parametrize("shape", [(1, 5 + 2, 8400), (1, 4 + 2, 8400)])
def test_a_model_that_says_its_boxes_are_turned_is_refused_as_that(shape: tuple[int, ...]) -> None:
    """It was told to write more names, with which an angle would have been the last one's score."""
    signature = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (1, 3, SIDE, SIDE)),),
        (tensors.TensorSpec("output0", tensors.FP32, shape),),
        {"task": "obb", "names": "['ship', 'plane']"},
    )
    with pytest.raises(errors.ModelUnusable, match=r"its boxes are turned \(obb\).*set the task to tensors"):
        detection.Detector(signature)
