"""A detector of three places that finds a box where that pixel of the first row is red; and one of untold shape."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import onnx
from PIL import Image

from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib

SIDE = 16
PLACES = ((0.0, 0.0, 4.0, 4.0), (4.0, 4.0, 9.0, 9.0), (8.0, 8.0, 16.0, 16.0))
INT64 = onnx.TensorProto.INT64

_CONSTANTS = {
    "places": np.array([PLACES], np.float32),
    "start": np.array([0, 0, 0]),
    "end": np.array([1, 1, 3]),
    "axes": np.array([1, 2, 3]),
    "second": np.array([2]),
    "tail": np.array([3, 4]),
    "last": np.array([1]),
    "most": np.array([9]),
    "overlap": np.array([0.5], np.float32),
    "least": np.array([0.5], np.float32),
}


def save(path: pathlib.Path, *, numbered: bool) -> pathlib.Path:
    """Write it for any number of pictures: with rows as YOLOv7 has them, `numbered`, or as torchvision has them."""
    node = onnx.helper.make_node
    nodes = [node("Constant", [], [name], value=onnx.numpy_helper.from_array(it)) for name, it in _CONSTANTS.items()]
    nodes += [
        node("Slice", ["images", "start", "end", "axes"], ["pixels"]),
        node("Squeeze", ["pixels", "second"], ["sure"]),
        node("Shape", ["images"], ["pictures"], start=0, end=1),
        node("Concat", ["pictures", "tail"], ["shape"], axis=0),
        node("Expand", ["places", "shape"], ["all"]),
        node("NonMaxSuppression", ["all", "sure", "most", "overlap", "least"], ["kept"]),
        node("Split", ["kept"], ["picture", "class", "place"], axis=1, num_outputs=3),
        node("Concat", ["picture", "place"], ["which"], axis=1),
        node("GatherND", ["all", "which"], ["boxes"]),
        node("GatherND", ["sure", "kept"], ["scores"]),
        node("Squeeze", ["class", "last"], ["labels"]),
    ]
    if not numbered:
        outputs = {"boxes": (FLOAT, ("K", 4)), "labels": (INT64, ("K",)), "scores": (FLOAT, ("K",))}
        return save_model(path, nodes, {"images": (FLOAT, ("N", 3, SIDE, SIDE))}, outputs)
    nodes += [
        node("Cast", ["picture"], ["number"], to=FLOAT),
        node("Cast", ["class"], ["category"], to=FLOAT),
        node("Unsqueeze", ["scores", "last"], ["score"]),
        node("Concat", ["number", "boxes", "category", "score"], ["output"], axis=1),
    ]
    return save_model(path, nodes, {"images": (FLOAT, ("N", 3, SIDE, SIDE))}, {"output": (FLOAT, ("K", 7))})


def save_untold(path: pathlib.Path, **metadata: str) -> pathlib.Path:
    """Write a detector of 80 classes whose output's declared shape says nothing of them: its sizes are computed."""
    node = onnx.helper.make_node
    boxes = np.zeros((1, 84, 21), np.float32)
    boxes[0, :5, 0] = 16, 16, 20, 20, 0.9
    end = np.array([84, 21], np.float32)
    constants = {"all": boxes, "axes": np.array([1, 2]), "start": np.array([0, 0]), "end": end}
    nodes = [node("Constant", [], [name], value=onnx.numpy_helper.from_array(it)) for name, it in constants.items()]
    nodes += [
        node("ReduceMin", ["images"], ["least"], keepdims=0),
        node("Sub", ["least", "least"], ["nothing"]),
        node("Add", ["nothing", "end"], ["sizes"]),
        node("Cast", ["sizes"], ["stop"], to=INT64),
        node("Slice", ["all", "start", "stop", "axes"], ["output0"]),
    ]
    outputs = {"output0": (FLOAT, (1, "A", "B"))}
    return save_model(path, nodes, {"images": (FLOAT, (1, 3, 32, 32))}, outputs, **metadata)


def picture(*places: int) -> bytes:
    """Return a picture in which it finds these."""
    made = Image.new("RGB", (SIDE, SIDE))
    for place in places:
        made.putpixel((place, 0), (255, 0, 0))
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    return buffer.getvalue()
