"""Detection and classification against a second implementation, plainly written from the description alone.

It shares no code with what it checks. Pictures are cut, stretched, turned and pasted from the four that are here,
in sizes and shapes far from square, so that each way of padding and scaling is met.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from foresail_runtime import tensors
from foresail_runtime.tasks import classification, detection, layouts, suppression

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 416
NAMES = ("astronaut", "chelsea", "coffee", "horse")
Box = tuple[float, float, float, float]


def letterbox(picture: Image.Image) -> tuple[np.ndarray[Any, Any], float, int, int]:
    width, height = picture.size
    ratio = min(SIDE / width, SIDE / height)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    small = np.asarray(picture.resize((new_width, new_height), Image.Resampling.BILINEAR))
    left, top = (SIDE - new_width) // 2, (SIDE - new_height) // 2
    array = np.full((1, 3, SIDE, SIDE), 114, dtype=np.float64)
    for channel in range(3):
        array[0, channel, top : top + new_height, left : left + new_width] = small[:, :, channel]
    return (array / 255).astype(np.float32), ratio, left, top


def overlap(one: Box, two: Box) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1])
    return shared / (areas - shared)


def suppress(found: list[tuple[float, int, Box]], iou: float) -> list[tuple[float, int, Box]]:
    kept: list[tuple[float, int, Box]] = []
    for score, class_id, box in sorted(found, key=lambda item: -item[0]):
        if all(class_id != other or overlap(box, taken) <= iou for _, other, taken in kept):
            kept.append((score, class_id, box))
    return kept


def decode(output: np.ndarray[Any, Any], confidence: float) -> list[tuple[float, int, Box]]:
    found = []
    for cx, cy, width, height, *scores in output.T.tolist():
        best = max(scores)
        if best > confidence:
            box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            found.append((best, scores.index(best), box))
    return found


def reference(model: Any, picture: Image.Image, confidence: float, iou: float) -> list[tuple[float, int, Box]]:
    array, ratio, left, top = letterbox(picture)
    (output,) = model.session.run(None, {"images": array})
    width, height = picture.size
    answer = []
    for score, class_id, (x1, y1, x2, y2) in suppress(decode(output[0], confidence), iou):
        box = (
            min(max((x1 - left) / ratio, 0), width),
            min(max((y1 - top) / ratio, 0), height),
            min(max((x2 - left) / ratio, 0), width),
            min(max((y2 - top) / ratio, 0), height),
        )
        if box[0] < box[2] and box[1] < box[3]:
            answer.append((score, class_id, box))
    return answer


def scene(source: Callable[[str], bytes], seed: int) -> Image.Image:
    """A picture made of one or two of the four: a cut of one, of odd size, perhaps with another pasted in."""
    dice = random.Random(seed)
    pictures = [Image.open(io.BytesIO(source(name))).convert("RGB") for name in dice.sample(NAMES, 2)]
    width, height = pictures[0].size
    left, top = dice.randrange(width // 2), dice.randrange(height // 2)
    cut = pictures[0].crop((left, top, dice.randint(left + width // 4, width), dice.randint(top + height // 4, height)))
    size = (dice.randint(40, 1100), dice.randint(40, 1100))
    base = cut.resize(size, Image.Resampling.BICUBIC) if dice.random() < 0.8 else pictures[0]
    if dice.random() < 0.5:
        small = pictures[1].resize((max(1, base.width // 2), max(1, base.height // 2)))
        base.paste(small, (dice.randrange(base.width), dice.randrange(base.height)))
    return base.transpose(Image.Transpose.ROTATE_90) if dice.random() < 0.3 else base


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize("seed", range(24))
def test_boxes_equal_those_of_plain_loops(
    nanodet: Any, detect: Callable[..., list[dict[str, Any]]], picture: Callable[[str], bytes], seed: int
) -> None:
    dice = random.Random(1000 + seed)
    confidence, iou = dice.choice([0.1, 0.25, 0.35]), dice.choice([0.3, 0.5, 0.7])
    view = scene(picture, seed)
    expected = reference(nanodet, view, confidence, iou)
    found = detect(png(view), confidence=str(confidence), iou=str(iou))
    assert [(item["class_id"], item["confidence"], item["box"]) for item in found] == [
        (class_id, pytest.approx(score, abs=0.001), pytest.approx(box, abs=0.1)) for score, class_id, box in expected
    ]


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (416, 416), (415, 417), (13, 2000), (3, 2)])
def test_odd_sizes_fill_the_input_as_plain_loops_do(nanodet: Any, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    view = Image.fromarray(noise)
    prepared = detection.Detector(nanodet.signature).prepare(png(view))
    np.testing.assert_allclose(prepared.inputs[0].array, letterbox(view)[0], atol=1e-6)


def test_random_outputs_give_the_boxes_of_plain_loops() -> None:
    """Thousands of crossing boxes of few classes: what a trained model rarely shows."""
    generator = np.random.default_rng(11)
    signature = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (-1, 3, SIDE, SIDE)),),
        (tensors.TensorSpec("output0", tensors.FP32, (-1, 7, 2000)),),
    )
    detector = detection.Detector(signature)
    prepared = detector.prepare(png(Image.new("RGB", (SIDE, SIDE))))
    for _ in range(2):
        places = generator.uniform(0, SIDE, (2, 2000))
        sides = generator.uniform(5, 200, (2, 2000))
        scores = generator.uniform(0, 1, (3, 2000))
        output = np.concatenate([places, sides, scores]).astype(np.float32)
        options = detector.read_options({"confidence": "0.6", "top_k": "10000"})
        outputs = (tensors.Tensor("output0", tensors.FP32, output[np.newaxis]),)
        answer = detector.answer(prepared, outputs, options)["detections"]
        expected = suppress(decode(output, 0.6), 0.5)
        assert [(item["class_id"], item["confidence"]) for item in answer] == [
            (class_id, pytest.approx(score, abs=1e-4)) for score, class_id, _ in expected
        ]


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("most", [1, 40, 2000])
def test_blocks_of_boxes_are_suppressed_as_plain_loops_do(iou: float, most: int) -> None:
    generator = np.random.default_rng(5)
    corners = generator.integers(0, 60, (700, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + generator.integers(0, 40, (700, 2))], axis=1).astype(np.float32)
    scores = (generator.permutation(700) / 700).astype(np.float32)
    classes = generator.integers(0, 2, 700)
    kept = suppression.keep(layouts.Candidates(boxes, scores, classes, np.zeros((700, 0), np.float32)), iou, most)
    rows = zip(scores.tolist(), classes.tolist(), map(tuple, boxes.tolist()), strict=True)
    expected = suppress(list(rows), iou)[:most]
    assert scores[kept].tolist() == [score for score, _, _ in expected]


def probabilities(model: Any, picture: Image.Image) -> list[float]:
    """EfficientNet's own: 7/8 of the short side, cut out of the middle in whole pixels, and nothing beside it."""
    short = min(picture.size)
    side = max(1, short * 7 // 8)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    array = (np.asarray(cut, dtype=np.float32) - 127) / 128
    (output,) = model.session.run(None, {"images": array.transpose(2, 0, 1)[np.newaxis]})
    return [float(score) for score in output[0]]


@pytest.mark.parametrize("seed", range(24))
def test_classes_equal_those_of_plain_numpy(
    efficientnet: Any, classify: Callable[..., list[dict[str, Any]]], picture: Callable[[str], bytes], seed: int
) -> None:
    view = scene(picture, seed)
    expected = probabilities(efficientnet, view)
    found = classify(png(view), top_k="1000")
    assert [item["confidence"] for item in found] == [
        pytest.approx(expected[item["class_id"]], abs=0.001) for item in found
    ]
    assert found[0]["confidence"] == pytest.approx(max(expected), abs=0.001)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3, 2), (224, 224), (225, 223), (13, 2000)])
def test_odd_sizes_are_cut_as_plain_numpy_does(efficientnet: Any, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    view = Image.fromarray(noise)
    (tensor,) = classification.Classifier(efficientnet.signature).prepare(png(view)).inputs
    (output,) = efficientnet.session.run(None, {"images": tensor.array})
    assert output[0].tolist() == pytest.approx(probabilities(efficientnet, view), abs=1e-5)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_a_box_in_the_padding_takes_no_place_among_the_surest(*, end_to_end: bool) -> None:
    """The picture is twice as wide as high: the rectangle's upper and lower quarter are padding."""
    outside, inside, less = (0, 0, 20, 10, 0.99), (20, 40, 60, 60, 0.9), (60, 30, 80, 50, 0.8)
    if end_to_end:
        array = np.array([[[*row, 0] for row in (outside, inside, less)]], np.float32)
    else:
        rows = [
            [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, score] for x1, y1, x2, y2, score in (outside, inside, less)
        ]
        array = np.array([rows], np.float32).transpose(0, 2, 1)
    spec = tensors.TensorSpec("y", tensors.FP32, (1, -1, 6) if end_to_end else (1, 5, -1))
    given = tensors.TensorSpec("x", tensors.FP32, (1, 3, 100, 100))
    detector = detection.Detector(
        tensors.Signature((given,), (spec,), {"names": "{0: 'a'}", "end2end": str(end_to_end)})
    )
    prepared = detector.prepare(png(Image.new("RGB", (100, 50))))
    for most, scores in (("1", [0.9]), ("2", [0.9, 0.8]), ("9", [0.9, 0.8])):
        found = detector.answer(
            prepared, (tensors.Tensor("y", tensors.FP32, array),), detector.read_options({"top_k": most})
        )
        assert [round(one["confidence"], 2) for one in found["detections"]] == scores
