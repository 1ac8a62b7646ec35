"""Which task a signature looks like."""

from __future__ import annotations

from typing import Any

import pytest

from foresail_runtime import tensors
from foresail_runtime.tasks import choose, classification, detection, pictures

Shape = tuple[int, ...]


def signature(inputs: list[Shape], outputs: list[Shape], **metadata: str) -> tensors.Signature:
    return tensors.Signature(
        tuple(tensors.TensorSpec(f"in{i}", tensors.FP32, shape) for i, shape in enumerate(inputs)),
        tuple(tensors.TensorSpec(f"out{i}", tensors.FP32, shape) for i, shape in enumerate(outputs)),
        metadata,
    )


@pytest.mark.parametrize(
    ("story", "inputs", "outputs", "metadata", "task"),
    [
        ("a detector", [(-1, 3, 640, 640)], [(-1, 84, 8400)], {}, "object-detection"),
        ("a detector by its metadata", [(1, 3, -1, -1)], [(-1, -1, -1)], {"task": "detect"}, "object-detection"),
        ("a segmentation", [(1, 3, 640, 640)], [(1, 116, 8400), (1, 32, 160, 160)], {}, "object-detection"),
        ("a classifier", [(-1, 3, 224, 224)], [(-1, 1000)], {}, "image-classification"),
        ("a classifier in TensorFlow's order", [(-1, 224, 224, 3)], [(-1, 10)], {}, "image-classification"),
        ("an embedding and scores", [(-1, 3, 224, 224)], [(-1, 512), (-1, 10)], {}, "tensors"),
        ("a picture to a picture", [(-1, 3, 224, 224)], [(-1, 3, 448, 448)], {}, "tensors"),
        ("a vector", [(-1, 9)], [(-1, 2)], {}, "tensors"),
        ("a vector with named columns", [(-1, 9)], [(-1, 2)], {"columns": "a,b"}, "tabular"),
        ("an input a column", [(-1, 1), (-1, 1)], [(-1, 2)], {}, "tabular"),
        ("an input a column, flat", [(-1,), (-1,)], [(-1, 2)], {}, "tabular"),
        ("an input a column, a row at a time", [(1,), (1, 1)], [(1, 2)], {}, "tabular"),
        ("a flat input of a size of its own", [(-1,), (3,)], [(-1, 2)], {}, "tensors"),
        ("one flat input", [(-1,)], [(-1, 2)], {}, "tensors"),
        ("YOLOv5 of one class, of any size", [(-1, 3, -1, -1)], [(-1, -1, 6)], {}, "object-detection"),
        ("a grey picture to sequences of six", [(-1, 1, 32, -1)], [(-1, -1, 6)], {}, "tensors"),
        ("an output of which nothing is known", [(-1, 3, -1, -1)], [(-1, -1, -1)], {}, "tensors"),
        ("the same with names", [(-1, 3, -1, -1)], [(-1, -1, -1)], {"names": "['a']"}, "object-detection"),
        ("the same with a stride", [(-1, 3, -1, -1)], [(-1, -1, -1)], {"stride": "32"}, "object-detection"),
        ("DETR: classes and boxes apart", [(1, 3, 800, 800)], [(1, 100, 92), (1, 100, 4)], {}, "tensors"),
        (
            "raw heads beside the boxes",
            [(1, 3, 640, 640)],
            [(1, 25200, 85), (1, 3, 80, 80, 85)],
            {},
            "object-detection",
        ),
        ("YOLOv7 end to end", [(1, 3, 640, 640)], [(-1, 7)], {}, "object-detection"),
        ("seven classes", [(-1, 3, 64, 64)], [(-1, 7)], {}, "image-classification"),
        ("seven classes of one picture", [(1, 3, 64, 64)], [(1, 7)], {}, "image-classification"),
        ("rows of eight, any number for a picture", [(1, 3, 64, 64)], [(-1, 8)], {}, "tensors"),
        ("a picture of which nothing is known", [(-1, -1, -1, -1)], [(-1, 10)], {}, "tensors"),
        ("tokens of a vision transformer", [(-1, 3, 224, 224)], [(-1, 197, 768)], {}, "tensors"),
        ("the same beside what they pool to", [(-1, 3, 224, 224)], [(-1, 50, 192), (-1, 192)], {}, "tensors"),
        ("tokens, any number", [(-1, 3, 224, 224)], [(-1, -1, 768)], {}, "tensors"),
        ("tokens of pictures of any size", [(-1, 3, -1, -1)], [(-1, -1, 768)], {}, "tensors"),
        ("depths of an oblong picture", [(1, 3, 384, 640)], [(1, 384, 640)], {}, "tensors"),
        ("letters of a line of text", [(-1, 3, 48, -1)], [(-1, -1, 37)], {}, "tensors"),
        ("letters of a line as long as all", [(-1, 1, 32, 100)], [(-1, 25, 37)], {}, "tensors"),
        ("letters, the line before the batch", [(-1, 3, 32, 128)], [(33, -1, 37)], {}, "tensors"),
        ("digits of a number", [(-1, 3, 64, 64)], [(-1, 10, 11)], {}, "tensors"),
        ("turned boxes end to end", [(1, 3, 640, 640)], [(1, 300, 7)], {}, "tensors"),
        ("a finer grid", [(1, 3, 640, 640)], [(1, 7, 34000)], {}, "object-detection"),
        ("a detector whose classes are open", [(-1, 3, 640, 640)], [(-1, -1, 8400)], {}, "object-detection"),
        ("YOLOv5 whose classes are open", [(-1, 3, 640, 640)], [(-1, 25200, -1)], {}, "object-detection"),
        ("three classes of any size", [(-1, 3, -1, -1)], [(-1, -1, 8)], {}, "object-detection"),
        (
            "a detector of another size by its names",
            [(1, 3, 64, 64)],
            [(1, 7, 99)],
            {"names": "['a']"},
            "object-detection",
        ),
        (
            "a detector with its raw heads",
            [(1, 3, 640, 640)],
            [(1, 84, 8400), (1, 144, 80, 80), (1, 144, 40, 40)],
            {},
            "object-detection",
        ),
        ("oriented boxes", [(-1, 3, 640, 640)], [(-1, 20, 8400)], {"task": "obb"}, "tensors"),
    ],
)
def test_a_task_is_told_from_the_signature(
    story: str, inputs: list[Shape], outputs: list[Shape], metadata: dict[str, str], task: str
) -> None:
    assert choose.task(signature(inputs, outputs, **metadata)) == task, story


def test_the_trained_models_are_recognised(nanodet: Any, efficientnet: Any) -> None:
    assert choose.task(nanodet.signature) == "object-detection"
    assert choose.task(efficientnet.signature) == "image-classification"


def test_a_task_gives_what_serves_it(nanodet: Any, efficientnet: Any) -> None:
    detector = pictures.describe("object-detection", nanodet.signature, nanodet.folder)
    classifier = pictures.describe("image-classification", efficientnet.signature, efficientnet.folder)
    assert isinstance(detector, detection.Detector)
    assert isinstance(classifier, classification.Classifier)
    assert classifier.labels.name(967) == "espresso"
    assert pictures.describe("tensors", nanodet.signature, None) is None
