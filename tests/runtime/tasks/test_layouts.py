"""The export layouts of the YOLO family: told apart, and read alike."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import detection, images, layouts, letterbox, suppression

CLASSES, OBJECTNESS, END_TO_END = layouts.Layout.CLASSES, layouts.Layout.OBJECTNESS, layouts.Layout.END_TO_END
ROWS = layouts.Layout.ROWS


@pytest.mark.parametrize(
    ("story", "shape", "head", "layout"),
    [
        ("YOLO11", (1, 84, 8400), {}, CLASSES),
        ("YOLO11 with names", (1, 84, 8400), {"class_count": 80}, CLASSES),
        ("YOLO11 with dynamic anchors", (-1, 84, -1), {}, CLASSES),
        ("YOLO11 with dynamic anchors and names", (-1, 84, -1), {"class_count": 80}, CLASSES),
        ("one class", (1, 5, 8400), {}, CLASSES),
        ("two classes", (1, 6, 8400), {}, CLASSES),
        ("two classes with names", (1, 6, 8400), {"class_count": 2}, CLASSES),
        ("more classes than anchors", (1, 604, 525), {"class_count": 600}, CLASSES),
        ("segmentation", (1, 116, 8400), {"class_count": 80, "extra": 32}, CLASSES),
        ("pose", (1, 56, 8400), {"class_count": 1, "extra": 51}, CLASSES),
        ("YOLOv5", (1, 25200, 85), {}, OBJECTNESS),
        ("YOLOv5 with names", (1, 25200, 85), {"class_count": 80}, OBJECTNESS),
        ("YOLOv5 with dynamic anchors", (-1, -1, 85), {}, OBJECTNESS),
        ("YOLOv5 of one class", (1, 25200, 6), {}, OBJECTNESS),
        ("YOLOv5 of one class with its name", (1, 25200, 6), {"class_count": 1}, OBJECTNESS),
        ("YOLOv5 P6 of one class", (1, 25500, 6), {"class_count": 1}, OBJECTNESS),
        ("YOLOv5 tiny of one class", (1, 6000, 6), {"class_count": 1}, OBJECTNESS),
        ("YOLOv5 segmentation", (1, 25200, 117), {"class_count": 80, "extra": 32}, OBJECTNESS),
        ("YOLOv10", (1, 300, 6), {}, END_TO_END),
        ("YOLOv10 with names", (1, 300, 6), {"class_count": 80}, END_TO_END),
        ("YOLOv10 of one class", (1, 300, 6), {"class_count": 1}, END_TO_END),
        ("end to end with dynamic boxes and names", (-1, -1, 6), {"class_count": 80}, END_TO_END),
        ("end to end by metadata", (-1, -1, 6), {"end_to_end": True}, END_TO_END),
        ("segmentation end to end", (1, 300, 38), {"class_count": 80, "extra": 32}, END_TO_END),
        ("six columns of unknown length", (-1, -1, 6), {}, None),
        ("all dynamic", (-1, -1, -1), {}, None),
        ("too few rows", (1, 4, 8400), {}, None),
        ("names that do not fit", (1, 84, 8400), {"class_count": 3}, None),
        ("a class vector", (1, 1000), {}, None),
        ("YOLO11 turned round", (1, 8400, 84), {}, ROWS),
        ("YOLO11 turned round with names", (1, 8400, 84), {"class_count": 80}, ROWS),
        ("YOLO11 turned round with dynamic anchors and names", (-1, -1, 84), {"class_count": 80}, ROWS),
        ("two classes turned round", (1, 8400, 6), {"class_count": 2}, ROWS),
        ("two classes end to end", (1, 8400, 6), {"class_count": 2, "end_to_end": True}, END_TO_END),
        ("YOLOv10 of two classes", (1, 300, 6), {"class_count": 2}, END_TO_END),
        ("one anchor a cell, with objectness", (1, 8400, 85), {}, OBJECTNESS),
        ("three anchors a cell, 79 classes", (1, 25200, 84), {}, OBJECTNESS),
        ("fewer anchors than rows", (1, 84, 21), {"input_size": (32, 32)}, CLASSES),
        ("as many anchors as rows", (1, 84, 84), {"input_size": (64, 64)}, CLASSES),
        ("an oblong input with fewer anchors than rows", (1, 84, 42), {"input_size": (64, 32)}, CLASSES),
        ("objectness with fewer anchors than columns", (1, 63, 85), {"input_size": (32, 32)}, OBJECTNESS),
        ("raw heads", (1, 3, 80, 80, 85), {}, None),
        ("RT-DETR", (1, 300, 84), {"class_count": 80, "relative": True}, ROWS),
        ("RT-DETR of two classes", (1, 300, 6), {"class_count": 2, "relative": True}, ROWS),
        ("RT-DETR with other names", (1, 300, 84), {"class_count": 2, "relative": True}, None),
    ],
)
def test_a_layout_is_told_by_shape_and_names(
    story: str, shape: tuple[int, ...], head: dict[str, Any], layout: layouts.Layout | None
) -> None:
    known = layouts.Head(head.pop("input_size", (640, 640)), head.pop("class_count", None), **head)
    assert layouts.choose(shape, known) is layout, story


def answer(
    output: np.ndarray[Any, Any], metadata: dict[str, str] | None = None, **query: str
) -> list[tuple[str, float, list[float]]]:
    """Detections of a 640 x 640 model that gives `output` for a picture of 320 x 160 (scale 2, 160 above)."""
    datatype = tensors.FP16 if output.dtype == np.float16 else tensors.FP32
    signature = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (1, 3, 640, 640)),),
        (tensors.TensorSpec("output0", datatype, (-1, *output.shape)),),
        metadata or {},
    )
    detector = detection.Detector(signature)
    prepared = detector.prepare(PICTURE)
    outputs = (tensors.Tensor("output0", datatype, output[np.newaxis].astype(datatype.dtype)),)
    found = detector.answer(prepared, outputs, detector.read_options(query))
    assert found["image"] == {"width": 320, "height": 160}
    return [(item["class_name"], item["confidence"], item["box"]) for item in found["detections"]]


def classes_layout(*rows: tuple[float, ...], anchors: int = 8400) -> np.ndarray[Any, Any]:
    output = np.zeros((anchors, len(rows[0])))
    output[: len(rows)] = rows
    return output.T


def objectness_layout(*rows: tuple[float, ...], anchors: int = 25200) -> np.ndarray[Any, Any]:
    return classes_layout(*rows, anchors=anchors).T


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 160), (10, 200, 30)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = _picture()
NAMES = {"names": "{0: 'cat', 1: 'dog', 2: 'hen'}"}
CAT_BOX = [20.0, 10.0, 60.0, 50.0]  # 40..120 x 180..260 of the input


def test_yolo_11_rows_are_read() -> None:
    output = classes_layout((80, 220, 80, 80, 0.9, 0.1, 0.0), (400, 300, 100, 40, 0.0, 0.2, 0.5))
    assert answer(output, NAMES) == [("cat", 0.9, CAT_BOX), ("hen", 0.5, [175.0, 60.0, 225.0, 80.0])]


def test_rows_turned_round_are_read_as_columns() -> None:
    output = classes_layout((80, 220, 80, 80, 0.9, 0.1, 0.0), (400, 300, 100, 40, 0.0, 0.2, 0.5))
    assert answer(output.T, NAMES) == answer(output, NAMES)


def test_objectness_is_multiplied_in() -> None:
    output = objectness_layout((80, 220, 80, 80, 0.9, 1.0, 0.2, 0.0), (400, 300, 100, 40, 0.5, 0.0, 0.6, 0.0))
    assert answer(output, NAMES) == [("cat", 0.9, CAT_BOX)]
    assert answer(output, NAMES, confidence="0.2")[1] == ("dog", 0.3, [175.0, 60.0, 225.0, 80.0])


def test_numbers_of_half_precision_are_multiplied_in_single() -> None:
    output = objectness_layout((80, 220, 80, 80, 0.9, 0.9, 0.0, 0.0)).astype(np.float16)
    assert answer(output, NAMES) == [("cat", 0.8098, CAT_BOX)]


def test_end_to_end_rows_are_read_and_not_suppressed_again() -> None:
    output = np.zeros((300, 6))
    output[:2] = [(40, 180, 120, 260, 0.8, 0), (41, 180, 120, 260, 0.9, 0)]
    assert answer(output, NAMES) == [("cat", 0.9, [20.5, 10.0, 60.0, 50.0]), ("cat", 0.8, CAT_BOX)]


RT_DETR = {**NAMES, "description": "Ultralytics RT-DETR-l model trained on coco.yaml"}


@pytest.mark.parametrize(
    ("fit", "down"), [({}, (0.1875, 0.25)), ({"foresail.fit": "letterbox"}, (0.34375, 0.125))], ids=["own", "letterbox"]
)
def test_boxes_of_an_rt_detr_are_parts_of_a_stretched_input_and_not_suppressed(
    fit: dict[str, str], down: tuple[float, float]
) -> None:
    box = (0.125, down[0], 0.125, down[1])
    output = objectness_layout((*box, 0.9, 0.1, 0), (*box, 0.8, 0, 0))[:300]
    assert answer(output, RT_DETR | fit) == [("cat", 0.9, CAT_BOX), ("cat", 0.8, CAT_BOX)]
    with pytest.raises(errors.ModelFailed, match="its boxes are from 0 to 1, as those of RT-DETR"):
        answer(output, NAMES)


def test_a_detector_says_that_pictures_are_stretched() -> None:
    output = classes_layout((80, 120, 80, 160, 0.9, 0.1, 0.0))
    assert answer(output, NAMES | {"foresail.fit": "Stretch"}) == [("cat", 0.9, CAT_BOX)]
    with pytest.raises(errors.ModelUnusable, match=r"foresail\.fit is 'squeeze': one of letterbox, stretch"):
        answer(output, NAMES | {"foresail.fit": "squeeze"})


def test_a_stretched_picture_has_nothing_around_it() -> None:
    box = letterbox.Letterbox.fit((320, 160), (640, 640), stretch=True)
    assert (box.across, box.down, box.left, box.top) == (2, 4, 0, 0)
    drawn = box.draw(Image.new("RGB", (320, 160), (10, 200, 30)), (640, 640), Image.Resampling.BILINEAR)
    assert (drawn.size, drawn.getcolors()) == ((640, 640), [(640 * 640, (10, 200, 30))])


@pytest.mark.parametrize("kept", [0, 3])
def test_boxes_with_the_number_of_their_picture_are_read(kept: int) -> None:
    rows = np.array([(0, 40, 180, 120, 260, 2, 0.9), (1, 0, 0, 640, 640, 1, 0.8), (0, 40, 180, 120, 260, 0, 0.3)])
    detector = detection.Detector(
        tensors.Signature(
            (tensors.TensorSpec("images", tensors.FP32, (1, 3, 640, 640)),),
            (tensors.TensorSpec("output", tensors.FP32, (-1, 7)),),
            NAMES,
        )
    )
    outputs = (tensors.Tensor("output", tensors.FP32, rows[:kept].astype(np.float32)),)
    found = detector.answer(detector.prepare(PICTURE), outputs, detector.read_options({}))["detections"]
    assert [(item["class_name"], item["confidence"], item["box"]) for item in found] == [("hen", 0.9, CAT_BOX)][:kept]


def test_mask_coefficients_are_no_classes() -> None:
    signature = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (1, 3, 640, 640)),),
        (
            tensors.TensorSpec("output0", tensors.FP32, (1, 4 + 3 + 32, 8400)),
            tensors.TensorSpec("output1", tensors.FP32, (1, 32, 160, 160)),
        ),
        NAMES,
    )
    detector = detection.Detector(signature)
    output = classes_layout((80, 220, 80, 80, 0.9, 0.1, 0.0, *([99.0] * 32)))[np.newaxis].astype(np.float32)
    prepared = detector.prepare(PICTURE)
    outputs = (tensors.Tensor("output0", tensors.FP32, output),)
    (found,) = detector.answer(prepared, outputs, detector.read_options({"masks": "none"}))["detections"]
    assert (found["class_name"], found["box"]) == ("cat", CAT_BOX)


def test_boxes_of_one_class_that_overlap_become_one_and_of_two_classes_stay() -> None:
    output = classes_layout(
        (80, 220, 80, 80, 0.9, 0, 0), (84, 220, 80, 80, 0.8, 0, 0), (80, 220, 80, 80, 0, 0.7, 0), anchors=8400
    )
    assert [item[:2] for item in answer(output, NAMES)] == [("cat", 0.9), ("dog", 0.7)]
    assert [item[:2] for item in answer(output, NAMES, iou="0.95")] == [("cat", 0.9), ("cat", 0.8), ("dog", 0.7)]


@pytest.mark.parametrize("score", [0.9, 1.0])
@pytest.mark.parametrize("kind", ["classes", "objectness", "end to end"])
def test_a_box_that_is_as_sure_as_asked_is_answered_and_one_of_no_score_never(kind: str, score: float) -> None:
    made = {
        "classes": classes_layout((80, 220, 80, 80, score, 0, 0)),
        "objectness": objectness_layout((80, 220, 80, 80, 1.0, score, 0, 0)),
        "end to end": objectness_layout((40, 180, 120, 260, score, 0), anchors=300),
    }[kind]
    for least in (str(score), "0"):
        assert answer(made, NAMES, confidence=least) == [("cat", score, CAT_BOX)]


def test_of_more_boxes_than_are_compared_the_surest_are() -> None:
    number = suppression.MAX_CANDIDATES + 100
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (number, 1))
    scores = np.linspace(0.1, 0.9, number, dtype=np.float32)
    classes = (np.arange(number) < 100).astype(np.int64)
    found = layouts.Candidates(boxes, scores, classes, np.zeros((number, 0), np.float32))
    assert suppression.keep(found, 0.5, number).tolist() == [number - 1]
    assert suppression.keep(found, 1.0, number).tolist() == list(range(number - 1, 99, -1))


def test_boxes_are_clipped_to_the_picture_and_those_outside_it_left_out() -> None:
    output = classes_layout((0, 320, 1280, 2000, 0.9, 0, 0), (300, 50, 40, 40, 0, 0.8, 0))
    assert answer(output, NAMES) == [("cat", 0.9, [0.0, 0.0, 320.0, 160.0])]


def test_wanted_classes_and_the_number_of_boxes_are_kept_to() -> None:
    rows = [(50 + 60 * i, 220, 40, 40, 0.9 - i / 100, 0.0, 0.0) for i in range(5)]
    output = classes_layout(*rows, (80, 400, 20, 20, 0, 0.8, 0))
    assert len(answer(output, NAMES, top_k="2")) == 2
    assert [item[0] for item in answer(output, NAMES, classes="dog")] == ["dog"]
    assert answer(output, NAMES, classes="2") == []


def test_what_is_no_number_is_no_detection() -> None:
    output = classes_layout(
        (80, 220, 80, 80, np.nan, 0, 0), (np.nan, 220, 80, 80, 0.9, 0, 0), (80, np.inf, 1, 1, 0.9, 0, 0)
    )
    assert answer(output, NAMES) == []


def test_80_classes_without_names_are_coco_s() -> None:
    row = (80, 220, 80, 80, *([0.0] * 15), 0.9, *([0.0] * 64))
    assert answer(classes_layout(row))[0][0] == "cat"
    assert answer(objectness_layout((80, 220, 80, 80, 1.0, *row[4:])))[0][0] == "cat"


def test_a_class_without_a_name_is_called_by_its_id() -> None:
    assert answer(classes_layout((80, 220, 80, 80, 0, 0.9)))[0][0] == "1"


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([("x", (1, 3, 64, 64))], [("y", (1, 10))], "needs an output of shape"),
        ([("x", (1, 3, 64, 64))], [("y", (1, 2, 50))], "[1, 2, 50]"),
        ([("x", (1, 3, 64, 64))], [("y", (1, 100, 92)), ("z", (1, 100, 4))], "[1, 100, 92], [1, 100, 4]"),
        ([("x", (1, 32))], [("y", (1, 84, 8400))], "this one takes x FP32 [1, 32]: set the task to tensors"),
        ([("x", (1, 3, 64, 64)), ("z", (1, 2))], [("y", (1, 84, 8400))], "one input, a picture"),
    ],
)
def test_a_model_that_is_no_detector_is_refused_with_the_fix(
    inputs: list[tuple[str, tuple[int, ...]]], outputs: list[tuple[str, tuple[int, ...]]], message: str
) -> None:
    signature = tensors.Signature(
        tuple(tensors.TensorSpec(name, tensors.FP32, shape) for name, shape in inputs),
        tuple(tensors.TensorSpec(name, tensors.FP32, shape) for name, shape in outputs),
    )
    with pytest.raises(errors.ModelUnusable) as caught:
        detection.Detector(signature)
    assert message in caught.value.message
    assert caught.value.reason == "TaskMismatch"


def test_an_output_that_turns_out_to_be_no_layout_is_the_model_s_failure() -> None:
    signature = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (1, 3, 640, 640)),),
        (tensors.TensorSpec("y", tensors.FP32, (-1, -1, -1)),),
    )
    detector = detection.Detector(signature)
    outputs = (tensors.Tensor("y", tensors.FP32, np.zeros((1, 3, 3), dtype=np.float32)),)
    with pytest.raises(errors.ModelFailed, match=r"\[1, 3, 3\]"):
        detector.answer(detector.prepare(PICTURE), outputs, detector.read_options({}))


def test_the_picture_is_decoded_by_its_own_limit() -> None:
    assert images.MAX_PIXELS == 50_000_000
