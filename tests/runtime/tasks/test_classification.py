"""Where a classifier looks, what it is fed, and how its scores become confidences."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import classification


def signature(
    shape: tuple[int, ...] = (-1, 3, 4, 4), output: tuple[int, ...] = (-1, 3), datatype: str = "FP32", **metadata: str
) -> tensors.Signature:
    return tensors.Signature(
        (tensors.TensorSpec("images", tensors.DATATYPES[datatype], shape),),
        (tensors.TensorSpec("scores", tensors.FP32, output),),
        {key.replace("__", "."): value for key, value in metadata.items()},
    )


def png(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def fed(array: np.ndarray[Any, Any], described: tensors.Signature) -> np.ndarray[Any, Any]:
    (tensor,) = classification.Classifier(described).prepare(png(array)).inputs
    assert tensor.datatype is described.inputs[0].datatype
    result: np.ndarray[Any, Any] = tensor.array
    return result


def flat(red: int, green: int, blue: int) -> np.ndarray[Any, Any]:
    return np.full((64, 64, 3), (red, green, blue))


def test_pixels_are_centred_and_scaled_by_default() -> None:
    array = fed(flat(255, 127, 0), signature())
    assert array.shape == (1, 3, 4, 4)
    assert array.dtype == np.float32
    assert array[0, :, 0, 0].tolist() == [1.0, 0.0, pytest.approx(-127 / 128)]


def test_mean_and_std_come_from_the_metadata_in_units_of_0_to_255() -> None:
    described = signature(foresail__mean="[123.675, 116.28, 103.53]", foresail__std="58.395, 57.12, 57.375")
    expected = [(255 - 123.675) / 58.395, (127 - 116.28) / 57.12, -103.53 / 57.375]
    assert fed(flat(255, 127, 0), described)[0, :, 2, 2].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "datatype", "expected"),
    [
        ((-1, 4, 4, 3), "FP32", (1, 4, 4, 3)),
        ((-1, 3, 4, 4), "FP16", (1, 3, 4, 4)),
        ((-1, 4, 4, 3), "UINT8", (1, 4, 4, 3)),
        ((-1, 1, 4, 4), "FP32", (1, 1, 4, 4)),
        ((-1, 4, 4, 1), "FP32", (1, 4, 4, 1)),
        ((-1, 3, 6, 4), "FP32", (1, 3, 6, 4)),
        ((-1, 3, -1, -1), "FP32", (1, 3, 224, 224)),
        ((1, 3, 4, 4), "FP32", (1, 3, 4, 4)),
        ((4, 3, 4, 4), "FP32", (4, 3, 4, 4)),
        ((-1, -1, -1, -1), "FP32", (1, 3, 224, 224)),
    ],
)
def test_the_input_takes_the_shape_and_type_of_the_signature(
    shape: tuple[int, ...], datatype: str, expected: tuple[int, ...]
) -> None:
    array = fed(flat(10, 10, 10), signature(shape, datatype=datatype))
    assert array.shape == expected
    assert array.flat[0] == (10 if datatype == "UINT8" else pytest.approx((10 - 127) / 128, abs=1e-3))


def test_no_scores_are_the_model_s_failure() -> None:
    classifier = classification.Classifier(signature())
    nothing = tensors.Tensor("scores", tensors.FP32, np.zeros((0, 3), np.float32))
    with pytest.raises(errors.ModelFailed, match=r"'scores' has the shape \[0, 3\], which holds no scores"):
        classifier.answer(classifier.prepare(png(flat(0, 0, 0))), (nothing,), classifier.read_options({}))


def test_rows_that_are_not_pictures_are_no_scores() -> None:
    """YOLOv7 with its suppression inside has seven columns: its first box was answered as seven classes."""
    classifier = classification.Classifier(signature())
    boxes = tensors.Tensor("scores", tensors.FP32, np.zeros((2, 3), np.float32))
    with pytest.raises(errors.ModelFailed, match=r"'scores' has 2 rows for a picture.*task to object-detection"):
        classifier.answer(classifier.prepare(png(flat(0, 0, 0))), (boxes,), classifier.read_options({}))


def test_an_open_size_comes_from_imgsz() -> None:
    assert fed(flat(0, 0, 0), signature((-1, 3, -1, -1), imgsz="[96, 64]")).shape == (1, 3, 96, 64)


def test_only_the_middle_is_looked_at() -> None:
    """Of 160 x 80 the middle 70 x 70 is taken: 45..115 x 5..75."""
    view = np.zeros((80, 160, 3))
    view[5:75, 45:115] = 255
    described = signature((-1, 3, 70, 70), foresail__mean="0", foresail__std="255")
    assert fed(view, described).min() == 1.0
    wide = signature((-1, 3, 80, 80), foresail__mean="0", foresail__std="255", foresail__crop="1")
    assert fed(view, wide)[0, 0, 0, 0] == 0.0


def test_a_classifier_of_ultralytics_is_fed_as_it_was_trained() -> None:
    view = np.zeros((8, 8, 3))
    view[:, 0] = 255
    array = fed(view, signature((-1, 3, 8, 8), author="Ultralytics"))
    assert array[0, 0, :, 0].tolist() == [1.0] * 8


def answer(scores: list[float], described: tensors.Signature | None = None, **query: str) -> list[tuple[str, float]]:
    classifier = classification.Classifier(described or signature(names="['ok', 'scratch', 'dent']"))
    outputs = (tensors.Tensor("scores", tensors.FP32, np.array([scores], dtype=np.float32)),)
    prepared = classifier.prepare(png(np.zeros((30, 20, 3))))
    found = classifier.answer(prepared, outputs, classifier.read_options(query))
    assert found["image"] == {"width": 20, "height": 30}
    return [(item["class_name"], item["confidence"]) for item in found["classes"]]


def test_probabilities_stay_what_they_are() -> None:
    assert answer([0.2, 0.7, 0.1]) == [("scratch", 0.7), ("ok", 0.2), ("dent", 0.1)]


def test_a_picture_of_several_classes_keeps_the_confidence_of_each() -> None:
    assert answer([0.1, 0.9, 0.8]) == [("scratch", 0.9), ("dent", 0.8), ("ok", 0.1)]
    assert answer([0.01, 0.0, 0.02]) == [("dent", 0.02), ("ok", 0.01), ("scratch", 0.0)]


def test_two_scores_from_0_to_1_that_are_no_probabilities_get_a_softmax() -> None:
    pair = signature(output=(-1, 2), names="['ok', 'scratch']")
    assert answer([0.3, 0.6], pair) == [("scratch", 0.5744), ("ok", 0.4256)]
    assert answer([0.3, 0.7], pair) == [("scratch", 0.7), ("ok", 0.3)]


def test_other_scores_get_a_softmax() -> None:
    assert answer([2.0, 0.0, -1000.0]) == [("ok", 0.8808), ("scratch", 0.1192), ("dent", 0.0)]


def test_the_metadata_names_the_activation() -> None:
    sigmoid = signature(names="['ok', 'scratch', 'dent']", foresail__activation="sigmoid")
    assert answer([0.0, 100.0, -1000.0], sigmoid) == [("scratch", 1.0), ("ok", 0.5), ("dent", 0.0)]
    none = signature(names="['ok', 'scratch', 'dent']", foresail__activation="none")
    assert answer([0.9, 0.8, 0.3], none)[1] == ("scratch", 0.8)


def test_scores_that_are_no_numbers_are_never_confident() -> None:
    assert answer([float("nan"), 5.0, 0.0])[0] == ("scratch", 0.9933)
    assert answer([float("nan")] * 3) == [("ok", 0.0), ("scratch", 0.0), ("dent", 0.0)]


def test_wanted_classes_confidence_and_number_are_kept_to() -> None:
    assert answer([0.2, 0.7, 0.1], top_k="1") == [("scratch", 0.7)]
    assert answer([0.2, 0.7, 0.1], confidence="0.15") == [("scratch", 0.7), ("ok", 0.2)]
    assert answer([0.2, 0.7, 0.1], classes="dent") == [("dent", 0.1)]


def test_scores_may_have_trailing_sides_of_one() -> None:
    described = signature(output=(-1, 3, 1, 1), names="['ok', 'scratch', 'dent']")
    assert classification.output_spec(described) is not None


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"foresail__mean": "grey"}, "foresail.mean is 'grey': write a number"),
        ({"foresail__mean": "[]"}, "foresail.mean"),
        ({"foresail__mean": "1e999"}, "must be finite"),
        ({"foresail__mean": "1, 2"}, "one number or 3"),
        ({"foresail__std": "0"}, "foresail.std holds 0"),
        ({"foresail__crop": "1.5"}, "foresail.crop is 1.5"),
        ({"foresail__interpolation": "area"}, "one of nearest, bilinear"),
        ({"foresail__activation": "relu"}, "one of none, softmax, sigmoid"),
        ({"imgsz": "[0, 64]"}, "imgsz"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused_with_the_fix(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ModelUnusable) as caught:
        classification.Classifier(signature((-1, 3, -1, -1), **metadata))
    assert message in caught.value.message


def test_a_model_without_scores_is_refused_with_the_fix() -> None:
    with pytest.raises(errors.ModelUnusable, match="set the task to tensors"):
        classification.Classifier(signature(output=(-1, 5, 7)))
