"""Exports that have done all the work, in outputs of their own: told apart, put together, and never guessed at."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from PIL import Image

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import choose, detection, finished
from tests.runtime.conftest import FLOAT, save_model
from tests.runtime.tasks.conftest import Model

if TYPE_CHECKING:
    import pathlib

Shape = tuple[int, ...]
Outputs = dict[str, "np.ndarray[Any, Any]"]

F, I32, I64 = np.float32, np.int32, np.int64
INT64 = onnx.TensorProto.INT64
NAMES = {"names": "['cat', 'dog', 'hen']"}
CAT, HEN = (40.0, 180.0, 120.0, 260.0), (350.0, 240.0, 450.0, 280.0)
"""In pixels of an input of 640 x 640, into which a picture of 320 x 160 goes with scale 2, 160 from above."""
FOUND = [("hen", 0.9, [175.0, 40.0, 225.0, 60.0]), ("cat", 0.8, [20.0, 10.0, 60.0, 50.0])]


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 160), (10, 200, 30)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = _picture()


def signature(
    outputs: Outputs, pictures: int = 1, opened: tuple[str, ...] = (), metadata: dict[str, str] | None = None
) -> tensors.Signature:
    """A model that gives such outputs; those `opened` have any number of rows."""
    datatypes = {datatype.dtype: datatype for datatype in tensors.DATATYPES.values() if datatype is not tensors.BF16}
    return tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (pictures, 3, 640, 640)),),
        tuple(
            tensors.TensorSpec(
                name, datatypes[array.dtype], (-1, *array.shape[1:]) if name in opened or "" in opened else array.shape
            )
            for name, array in outputs.items()
        ),
        metadata or {},
    )


def answer(described: tensors.Signature, outputs: Outputs, **query: str) -> list[tuple[str, float, list[float]]]:
    return answer_of(detection.Detector(described), described, outputs, **query)


def answer_of(
    detector: detection.Detector, described: tensors.Signature, outputs: Outputs, **query: str
) -> list[tuple[str, float, list[float]]]:
    given = tuple(
        tensors.Tensor(spec.name, spec.datatype, outputs[spec.name])
        for spec in described.outputs
        if spec.name in detector.outputs
    )
    found = detector.answer(detector.prepare(PICTURE), given, detector.read_options(query))
    assert found["image"] == {"width": 320, "height": 160}
    return [(item["class_name"], item["confidence"], item["box"]) for item in found["detections"]]


def columns(names: str, filler: float, kind: Any, boxes: Any = (CAT, HEN)) -> Outputs:
    """What EfficientNMS gives of two pictures, under these names; what is beyond its number of boxes is no box."""
    number, box, score, category = names.split()
    rows = np.full((2, 4, 4), filler, F)
    rows[0, :2], rows[1, :3] = boxes, (0, 0, 640, 640)
    scores, classes = np.full((2, 4), filler, F), np.full((2, 4), filler, kind)
    scores[0, :2], classes[0, :2] = (0.8, 0.9), (0, 2)
    scores[1, :3], classes[1, :3] = 1, 1
    return {number: np.array([[2], [3]], kind), box: rows, score: scores, category: classes}


TORCHVISION: Outputs = {
    "boxes": np.array([CAT, HEN], F),
    "labels": np.array([0, 2], I64),
    "scores": np.array([0.8, 0.9], F),
}
MMDEPLOY: Outputs = {
    "dets": np.array([[(*CAT, 0.8), (*HEN, 0.9), (0, 0, 0, 0, 0)]], F),
    "labels": np.array([[0, 2, 0]], I64),
}
RT_DETR: Outputs = {
    "labels": np.array([[0, 2]], I64),
    "boxes": np.array([[CAT, HEN]], F),
    "scores": np.array([[0.8, 0.9]], F),
}
YOLO_7: Outputs = {
    "output": np.array([(0, *CAT, 0, 0.8), (1, 0, 0, 640, 640, 1, 1), (0, *HEN, 2, 0.9)], F),
}
YOLO_NAS: Outputs = {
    "graph2_flat_predictions": np.array([(0, *CAT, 0.8, 0), (1, 0, 0, 640, 640, 1, 1), (0, *HEN, 0.9, 2)], F),
}
MASKS: Outputs = {**TORCHVISION, "masks": np.zeros((2, 1, 640, 640), F), "keypoints_scores": np.zeros((2, 17), F)}

READ: dict[str, tuple[Outputs, int, tuple[str, ...]]] = {
    "YOLOv7": (YOLO_7, 1, ("",)),
    "YOLOv7 of two pictures": (YOLO_7, 2, ("",)),
    "YOLOv7 of any number of pictures": (YOLO_7, -1, ("",)),
    "YOLO-NAS": (YOLO_NAS, 1, ("",)),
    "YOLO-NAS of any number of pictures": (YOLO_NAS, -1, ("",)),
    "YOLOv6": (columns("num_dets det_boxes det_scores det_classes", 0, I64), -1, ("",)),
    "EfficientNMS": (columns("num_detections detection_boxes detection_scores detection_classes", 7, I32), 2, ()),
    "YOLO-NAS by picture": (columns("g_num_predictions g_pred_boxes g_pred_scores g_pred_classes", -1, I64), 2, ()),
    "torchvision": (TORCHVISION, 1, ("",)),
    "torchvision with masks and key points": (MASKS, 1, ("",)),
    "RT-DETR": (RT_DETR, -1, ("",)),
    "mmdeploy": (MMDEPLOY, -1, ("",)),
}


@pytest.mark.parametrize(("outputs", "pictures", "opened"), READ.values(), ids=READ.keys())
def test_boxes_of_the_first_picture_are_read_in_its_pixels(
    outputs: Outputs, pictures: int, opened: tuple[str, ...]
) -> None:
    described = signature(outputs, pictures, opened, NAMES)
    assert choose.task(described) == choose.DETECTION
    assert answer(described, outputs) == FOUND
    assert answer(described, outputs, confidence="0.85") == FOUND[:1]
    assert answer(described, outputs, top_k="1") == FOUND[:1]
    assert answer(described, outputs, classes="cat", iou="0") == FOUND[1:]


def test_four_outputs_are_told_in_any_order() -> None:
    made = columns("num_dets det_boxes det_scores det_classes", 0, I32)
    for order in itertools.permutations(made):
        outputs = {name: made[name] for name in order}
        assert answer(signature(outputs, 2, metadata=NAMES), outputs) == FOUND


@pytest.mark.parametrize("outputs", [YOLO_7, YOLO_NAS, TORCHVISION], ids=["YOLOv7", "YOLO-NAS", "torchvision"])
def test_rows_of_boxes_may_be_none_and_are_no_rows_of_pictures(outputs: Outputs) -> None:
    described = signature(outputs, 1, ("",))
    assert answer(described, {name: array[:0] for name, array in outputs.items()}) == []
    assert not detection.Detector(described).a_row_a_picture


@pytest.mark.parametrize("outputs", [RT_DETR, MMDEPLOY], ids=["RT-DETR", "mmdeploy"])
def test_a_picture_may_have_no_boxes(outputs: Outputs) -> None:
    described = signature(outputs, -1, ("",))
    assert answer(described, {name: array[:, :0] for name, array in outputs.items()}) == []
    assert detection.Detector(described).a_row_a_picture


@pytest.mark.parametrize(("count", "boxes"), [(0, 0), (1, 1), (9, 2), (-1, 0)])
def test_boxes_beyond_their_number_are_none(count: int, boxes: int) -> None:
    outputs = columns("num_dets det_boxes det_scores det_classes", 0, I32)
    outputs["num_dets"][:] = count
    assert len(answer(signature(outputs, 2), outputs)) == boxes


def test_boxes_that_overlap_are_not_suppressed_again() -> None:
    outputs = {**TORCHVISION, "boxes": np.array([CAT, CAT], F), "labels": np.array([1, 1], I64)}
    assert [item[1] for item in answer(signature(outputs, 1, ("",)), outputs, iou="0")] == [0.9, 0.8]


def test_one_box_a_picture_is_told_from_its_number_by_name() -> None:
    outputs = {name: array[:, :1] for name, array in columns("num_dets b s det_classes", 0, I32).items()}
    outputs = {name: outputs[name] for name in ("det_classes", "s", "b", "num_dets")}
    assert answer(signature(outputs, 2, metadata=NAMES), outputs) == FOUND[1:]


def test_four_boxes_a_picture_are_told_from_their_scores() -> None:
    boxes = np.full((1, 4, 4), 9, F)
    boxes[0, 0] = CAT
    outputs: Outputs = {"labels": np.zeros((1, 4), I64), "scores": np.full((1, 4), 0.9, F), "boxes": boxes}
    assert answer(signature(outputs, 1, metadata=NAMES), outputs) == [("cat", 0.9, FOUND[1][2])]


def shapes(*specs: tuple[str, Any, Shape]) -> tuple[tensors.TensorSpec, ...]:
    datatypes = {F: tensors.FP32, I64: tensors.DATATYPES["INT64"]}
    return tuple(tensors.TensorSpec(name, datatypes[kind], shape) for name, kind, shape in specs)


LEFT: list[tuple[str, int, tuple[tensors.TensorSpec, ...]]] = [
    ("DETR's logits and boxes", 1, shapes(("logits", F, (1, 100, 92)), ("pred_boxes", F, (1, 100, 4)))),
    ("RF-DETR's, called so", 1, shapes(("dets", F, (1, 300, 4)), ("labels", F, (1, 300, 91)))),
    ("YOLO-NAS before suppression", 1, shapes(("boxes", F, (1, 8400, 4)), ("scores", F, (1, 8400, 80)))),
    (
        "TensorFlow's, of parts of the picture and y first",
        1,
        shapes(
            ("num_detections", F, (-1,)),
            ("detection_boxes", F, (-1, 100, 4)),
            ("detection_scores", F, (-1, 100)),
            ("detection_classes", F, (-1, 100)),
        ),
    ),
    (
        "boxes of several pictures, of nobody knows which",
        2,
        shapes(("boxes", F, (-1, 4)), ("labels", I64, (-1,)), ("scores", F, (-1,))),
    ),
    (
        "two kinds of scores",
        1,
        shapes(("boxes", F, (1, 9, 4)), ("labels", I64, (1, 9)), ("a", F, (1, 9)), ("b", F, (1, 9))),
    ),
    (
        "two kinds of boxes",
        1,
        shapes(("a", F, (1, 9, 4)), ("b", F, (1, 9, 4)), ("labels", I64, (1, 9)), ("scores", F, (1, 9))),
    ),
    ("boxes and classes without scores", 1, shapes(("boxes", F, (-1, 4)), ("labels", I64, (-1,)))),
    ("turned boxes", 1, shapes(("dets", F, (1, 9, 6)), ("labels", I64, (1, 9)))),
    (
        "seven scores of one picture",
        1,
        shapes(
            ("output", F, (1, 7)),
        ),
    ),
]


@pytest.mark.parametrize(("pictures", "outputs"), [case[1:] for case in LEFT], ids=[case[0] for case in LEFT])
def test_what_is_not_told_for_certain_is_left_alone(pictures: int, outputs: tuple[tensors.TensorSpec, ...]) -> None:
    described = tensors.Signature((tensors.TensorSpec("images", tensors.FP32, (pictures, 3, 640, 640)),), outputs)
    assert finished.find(described) is None


@pytest.mark.parametrize(
    ("name", "side", "output", "task"),
    [
        ("images", 640, "output", choose.DETECTION),
        ("images", 224, "output", choose.CLASSIFICATION),
        ("input", 640, "output", choose.CLASSIFICATION),
        ("images", 640, "logits", choose.CLASSIFICATION),
        ("input", 224, "graph2_flat_predictions", choose.DETECTION),
    ],
)
def test_seven_columns_of_any_number_of_pictures_are_boxes_where_they_are_called_so(
    name: str, side: int, output: str, task: str
) -> None:
    described = tensors.Signature(
        (tensors.TensorSpec(name, tensors.FP32, (-1, 3, side, side)),),
        (tensors.TensorSpec(output, tensors.FP32, (-1, 7)),),
    )
    assert choose.task(described) == task


ATTRIBUTES = (("rotation", F, 4), ("gender", I64, None), ("age", F, None))
FIVE = (("probabilities", F, 5), ("label", I64, None))
BOXES = (("Boxes", F, 4), ("labels", I64, None), ("scores", F, None))


@pytest.mark.parametrize(
    ("outputs", "pictures", "rows", "task"),
    [
        (ATTRIBUTES, -1, -1, choose.TENSORS),
        (ATTRIBUTES, 1, 1, choose.TENSORS),
        (ATTRIBUTES, 1, -1, choose.DETECTION),
        (FIVE, -1, -1, choose.TENSORS),
        (FIVE, 1, 1, choose.TENSORS),
        (BOXES, -1, -1, choose.DETECTION),
        (BOXES, 1, 1, choose.DETECTION),
    ],
)
def test_rows_that_may_be_pictures_are_boxes_where_they_are_called_so(
    outputs: tuple[tuple[str, Any, int | None], ...], pictures: int, rows: int, task: str
) -> None:
    """Of a classifier of five classes that gives its choice, too, the fifth was taken for the score of a box."""
    described = tensors.Signature(
        (tensors.TensorSpec("x", tensors.FP32, (pictures, 3, 224, 224)),),
        shapes(*((name, kind, (rows,) if width is None else (rows, width)) for name, kind, width in outputs)),
    )
    assert choose.task(described) == task


def test_a_picture_with_a_class_beyond_the_names_is_answered_by_ids_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With names of 91 for 0 to 90, or of 80 without the background, all the others would have been wrong."""
    described = signature(TORCHVISION, 1, ("",), {"names": "['cat', 'dog']"})
    detector = detection.Detector(described)
    for confidence in ("0.1", "0.1"):
        assert [name for name, *_ in answer_of(detector, described, TORCHVISION, confidence=confidence)] == ["2", "0"]
    (record,) = caplog.records
    assert "a class beyond its names" in record.message
    within = {**TORCHVISION, "labels": np.minimum(TORCHVISION["labels"], 1)}
    assert [name for name, *_ in answer_of(detector, described, within)] == ["dog", "cat"]


def test_outputs_of_different_length_are_the_model_s_failure() -> None:
    outputs = {**TORCHVISION, "scores": np.zeros(1, F)}
    with pytest.raises(
        errors.ModelFailed, match=r"differ in their number of boxes: boxes \[2, 4\], labels \[2\], scores"
    ):
        answer(signature(outputs, 1, ("",)), outputs)


def test_boxes_of_parts_are_refused() -> None:
    outputs = {**RT_DETR, "boxes": RT_DETR["boxes"] / 640}
    with pytest.raises(errors.ModelFailed, match="its boxes are from 0 to 1"):
        answer(signature(outputs), outputs)


def test_an_input_beside_the_picture_is_named_with_what_to_do() -> None:
    described = signature(RT_DETR)
    size = tensors.TensorSpec("orig_target_sizes", tensors.DATATYPES["INT64"], (-1, 2))
    described = tensors.Signature((*described.inputs, size), described.outputs)
    with pytest.raises(
        errors.ModelUnusable, match=r"takes orig_target_sizes INT64 \[-1, 2\] as well: make that a constant"
    ):
        detection.Detector(described)
    assert choose.task(described) == choose.TENSORS


def test_a_size_that_became_a_constant_gives_boxes_in_pixels_of_the_input(tmp_path: pathlib.Path) -> None:
    """As the runtime's page says it: RT-DETR's boxes are parts of the picture, times the size that it is given."""
    node = onnx.helper.make_node
    constants = {
        "parts": np.array([[CAT, HEN]], F) / 640,
        "labels_": RT_DETR["labels"],
        "scores_": RT_DETR["scores"],
        "twice": np.array([1, 2]),
        "across": np.array([1]),
    }
    nodes = [node("Constant", [], [name], value=onnx.numpy_helper.from_array(it)) for name, it in constants.items()]
    nodes += [
        node("Cast", ["orig_target_sizes"], ["size"], to=FLOAT),
        node("Tile", ["size", "twice"], ["sides"]),
        node("Unsqueeze", ["sides", "across"], ["scale"]),
        node("Mul", ["parts", "scale"], ["boxes"]),
        *(node("Identity", [f"{name}_"], [name]) for name in ("labels", "scores")),
    ]
    inputs = {"images": (FLOAT, ("N", 3, 640, 640)), "orig_target_sizes": (INT64, ("N", 2))}
    outputs = {"labels": (INT64, ("N", 2)), "boxes": (FLOAT, ("N", 2, 4)), "scores": (FLOAT, ("N", 2))}
    model = onnx.load(save_model(tmp_path / "rtdetr.onnx", nodes, inputs, outputs, **NAMES))
    size = onnx.numpy_helper.from_array(np.array([[640, 640]]), "orig_target_sizes")
    model.graph.initializer.append(size)
    model.graph.input.remove(next(one for one in model.graph.input if one.name == size.name))
    onnx.save(model, tmp_path / "rtdetr-640.onnx")
    made = Model(tmp_path / "rtdetr-640.onnx")
    given = made.run(detection.Detector(made.signature).prepare(PICTURE).inputs)
    assert choose.task(made.signature) == choose.DETECTION
    assert answer(made.signature, {tensor.name: tensor.array for tensor in given}) == FOUND
