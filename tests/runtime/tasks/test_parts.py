"""Segmentation and pose exports: masks and key points beside the boxes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import choose, detection, letterbox, parts

NAMES = "{0: 'cat', 1: 'dog'}"


def picture(width: int = 320, height: int = 160) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (10, 200, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def signature(anchors: int, rows: int, protos: tuple[int, ...] | None = None, **metadata: str) -> tensors.Signature:
    outputs = [tensors.TensorSpec("output0", tensors.FP32, (1, rows, anchors))]
    if protos is not None:
        outputs.append(tensors.TensorSpec("output1", tensors.FP32, (1, *protos)))
    inputs = (tensors.TensorSpec("images", tensors.FP32, (1, 3, 640, 640)),)
    return tensors.Signature(inputs, tuple(outputs), metadata)


def decode(mask: dict[str, Any]) -> np.ndarray[Any, Any]:
    """A mask from its runs, by plain repetition."""
    height, width = mask["size"]
    flat = np.repeat(np.arange(len(mask["counts"])) % 2 == 1, mask["counts"])
    return flat.reshape(width, height).T


def segmented(width: int = 320, height: int = 160, **query: str) -> list[dict[str, Any]]:
    """A cat whose mask is its box's left half: 40..120 x 180..260 of the input, at a scale of 2 and 160 above."""
    model = signature(8400, 4 + 2 + 32, (32, 160, 160), names=NAMES)
    detector = detection.Detector(model)
    output = np.zeros((1, 38, 8400), np.float32)
    output[0, :, 0] = [80, 220, 80, 80, 0.9, 0.0, *([0.0] * 32)]
    output[0, 6, 0] = 1.0
    protos = np.full((1, 32, 160, 160), -1.0, np.float32)
    protos[0, 0, :, :20] = 1.0  # left of 80 in the input
    prepared = detector.prepare(picture(width, height))
    outputs = [
        tensors.Tensor("output0", tensors.FP32, output),
        tensors.Tensor("output1", tensors.FP32, protos),
    ]
    assert detector.outputs == ("output0", "output1")
    found: list[dict[str, Any]] = detector.answer(prepared, outputs, detector.read_options(query))["detections"]
    return found


def test_a_mask_is_the_sign_of_coefficients_times_prototypes_inside_the_box() -> None:
    (found,) = segmented()
    assert (found["class_name"], found["box"]) == ("cat", [20.0, 10.0, 60.0, 50.0])
    mask = decode(found["mask"])
    assert mask.shape == (160, 320)
    expected = np.zeros((160, 320), bool)
    expected[10:50, 20:40] = True
    assert np.count_nonzero(mask != expected) <= 40 * 2  # the edge is between two prototypes
    assert not mask[:, :20].any()
    assert not mask[50:].any()


@pytest.mark.parametrize("side", [640, 80])
def test_maps_of_another_size_are_no_prototypes(side: int) -> None:
    """A road's lanes beside boxes of three classes: two of their scores were taken for coefficients of masks."""
    detector = detection.Detector(signature(8400, 4 + 3, (2, side, side)))
    assert (detector.part, detector.labels.count) == (None, 3)


def test_the_mask_of_a_large_picture_is_of_that_picture_scaled_down() -> None:
    (found,) = segmented(3200, 1600)
    assert found["box"] == [200.0, 100.0, 600.0, 500.0]
    assert found["mask"]["size"] == [512, 1024]
    assert decode(found["mask"])[32:160, 64:128].mean() > 0.9


def test_masks_can_be_left_out() -> None:
    assert "mask" not in segmented(masks="none")[0]
    with pytest.raises(errors.InvalidRequest, match="masks is 'png': it is one of rle, none"):
        segmented(masks="png")


def test_masks_of_thousands_of_boxes_are_refused_and_their_boxes_are_not() -> None:
    with pytest.raises(errors.InvalidRequest, match="top_k is 301, and masks come with at most 300 boxes: lower it"):
        segmented(top_k="301")
    assert segmented(top_k="301", masks="none")


def test_a_detector_without_masks_has_no_such_option() -> None:
    with pytest.raises(errors.InvalidRequest, match="the option 'masks' is unknown here"):
        detection.Detector(signature(8400, 6, names=NAMES)).read_options({"masks": "rle"})


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_runs_say_where_the_mask_is(height: int, width: int, data: st.DataObject) -> None:
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    shape = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    bits = data.draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    part = np.array(bits).reshape(shape)
    whole = np.zeros((height, width), bool)
    whole[top : top + shape[0], left : left + shape[1]] = part
    counts = parts.encode(part, left, top, (height, width))
    assert sum(counts) == height * width
    assert all(counts[1:])
    assert np.array_equal(decode({"size": [height, width], "counts": counts}), whole)


@pytest.mark.parametrize(
    ("metadata", "anchors"),
    [
        ({"kpt_shape": "[2, 3]", "names": "{0: 'person'}"}, 8400),
        ({"kpt_shape": "[2, 3]"}, 8400),
        ({"task": "pose"}, 8400),
        ({"task": "pose", "names": "{0: 'person'}"}, 8400),
    ],
)
def test_key_points_are_in_the_picture_s_pixels(metadata: dict[str, str], anchors: int) -> None:
    detector = detection.Detector(signature(anchors, 5 + 6, None, **metadata))
    output = np.zeros((1, 11, anchors), np.float32)
    output[0, :, 7] = [80, 220, 80, 80, 0.9, 60, 200, 0.75, 9000, np.nan, 0.1]
    prepared = detector.prepare(picture())
    outputs = [tensors.Tensor("output0", tensors.FP32, output)]
    (found,) = detector.answer(prepared, outputs, detector.read_options({}))["detections"]
    assert found["box"] == [20.0, 10.0, 60.0, 50.0]
    assert found["keypoints"] == [[30.0, 20.0, 0.75], [320.0, 0.0, 0.1]]
    assert detector.part == "keypoints"


def test_key_points_without_visibility_have_two_numbers() -> None:
    detector = detection.Detector(signature(8400, 5 + 4, kpt_shape="(2, 2)"))
    output = np.zeros((1, 9, 8400), np.float32)
    output[0, :, 0] = [80, 220, 80, 80, 0.9, 60, 200, 80, 220]
    outputs = [tensors.Tensor("output0", tensors.FP32, output)]
    (found,) = detector.answer(detector.prepare(picture()), outputs, detector.read_options({}))["detections"]
    assert found["keypoints"] == [[30.0, 20.0], [40.0, 30.0]]


def test_suppression_done_in_the_model_keeps_each_box_with_its_own_points() -> None:
    names = {"names": "{0: 'person'}", "kpt_shape": "[1, 3]", "end2end": "True"}
    model = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (1, 3, 640, 640)),),
        (tensors.TensorSpec("output0", tensors.FP32, (1, 300, 9)),),
        names,
    )
    detector = detection.Detector(model)
    output = np.zeros((1, 300, 9), np.float32)
    output[0, :2] = [(40, 180, 120, 260, 0.6, 0, 60, 200, 1), (240, 180, 320, 260, 0.8, 0, 260, 200, 1)]
    outputs = [tensors.Tensor("output0", tensors.FP32, output)]
    found = detector.answer(detector.prepare(picture()), outputs, detector.read_options({}))["detections"]
    assert [one["keypoints"] for one in found] == [[[130.0, 20.0, 1.0]], [[30.0, 20.0, 1.0]]]


@pytest.mark.parametrize("kind", ["segment", "pose"])
def test_an_export_without_names_is_served_with_ids_from_a_file(kind: str, tmp_path: Any) -> None:
    """Tiny ONNX models of the two layouts, with a class too many for anybody's list of names."""
    rows = 4 + 3 + 4 if kind == "segment" else 4 + 3 + 6
    first = np.zeros((1, rows, 84), np.float32)
    first[0, :7, 0] = [32, 32, 20, 20, 0, 0.7, 0]
    made = {"output0": first}
    if kind == "segment":
        made["output1"] = np.ones((1, 4, 16, 16), np.float32)
    nodes = [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array, name))
        for name, array in made.items()
    ]
    values = [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, 64, 64])]
    results = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(array.shape))
        for name, array in made.items()
    ]
    graph = onnx.helper.make_graph(nodes, "tiny", values, results)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    metadata = {"task": kind} | ({"kpt_shape": "[2, 3]"} if kind == "pose" else {})
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "tiny.onnx")
    specs = tuple(tensors.TensorSpec(name, tensors.FP32, array.shape) for name, array in made.items())
    known = tensors.Signature((tensors.TensorSpec("images", tensors.FP32, (1, 3, 64, 64)),), specs, metadata)
    assert choose.task(known) == choose.DETECTION
    detector = detection.Detector(known)
    prepared = detector.prepare(picture(64, 64))
    arrays = session.run(list(detector.outputs), {"images": prepared.inputs[0].array})
    outputs = [tensors.Tensor(name, tensors.FP32, array) for name, array in zip(detector.outputs, arrays, strict=True)]
    (found,) = detector.answer(prepared, outputs, detector.read_options({"top_k": "1"}))["detections"]
    assert (found["class_id"], found["class_name"], found["box"]) == (1, "1", [22.0, 22.0, 42.0, 42.0])
    assert ("mask" in found) is (kind == "segment")
    assert ("keypoints" in found) is (kind == "pose")


def test_masks_and_points_of_a_stretched_picture_are_in_its_own_pixels() -> None:
    box = letterbox.Letterbox.fit((320, 160), (640, 640), stretch=True)
    upper = np.where(np.arange(160) < 80, 1, -1).astype(np.float32)[:, np.newaxis].repeat(160, axis=1)
    whole = np.array([[0, 0, 320, 160]], np.float32)
    (mask,) = parts.masks(np.ones((1, 1), np.float32), upper[np.newaxis], whole, box, (640, 640))
    assert mask == {"size": [160, 320], "counts": [0, *([80] * 640)]}
    assert parts.points(np.array([[320, 320, 0.5]], np.float32), (1, 3), box) == [[[160, 80, 0.5]]]
