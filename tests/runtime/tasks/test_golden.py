"""Trained models on four pictures, against results made with another program."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., list[dict[str, Any]]]

GOLDEN = [
    ("chelsea", 15, "cat", 0.60, [2, 0, 438, 298]),
    ("astronaut", 0, "person", 0.73, [15, 14, 364, 507]),
    ("horse", 17, "horse", 0.67, [15, 4, 396, 315]),
    ("coffee", 60, "dining table", 0.47, [10, 1, 595, 400]),
]


@pytest.mark.parametrize("expected", GOLDEN, ids=lambda expected: expected[0])
def test_a_trained_detector_finds_what_the_reference_finds(
    detect: Run, picture: Callable[[str], bytes], expected: tuple[str, int, str, float, list[int]]
) -> None:
    name, class_id, class_name, confidence, box = expected
    (found,) = detect(picture(name))
    assert found == {
        "class_id": class_id,
        "class_name": class_name,
        "confidence": pytest.approx(confidence, abs=0.015),
        "box": pytest.approx(box, abs=2),
    }


def test_a_jpeg_of_a_picture_gives_the_same_boxes(detect: Run, picture: Callable[[str], bytes]) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture("chelsea"))).convert("RGB").save(buffer, "JPEG", quality=95)
    (found,) = detect(buffer.getvalue())
    assert found["box"] == pytest.approx([2, 0, 438, 298], abs=3)
    assert found["class_name"] == "cat"


def test_a_picture_on_its_side_is_set_upright_by_its_exif_before_it_is_looked_at(
    detect: Run, picture: Callable[[str], bytes]
) -> None:
    upright = Image.open(io.BytesIO(picture("chelsea"))).convert("RGB")
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    assert detect(buffer.getvalue()) == detect(picture("chelsea"))


def test_a_trained_classifier_knows_an_espresso(classify: Run, picture: Callable[[str], bytes]) -> None:
    (found,) = classify(picture("coffee"), top_k="1")
    assert found == {"class_id": 967, "class_name": "espresso", "confidence": pytest.approx(0.95, abs=0.015)}


def test_a_trained_classifier_wavers_between_two_cats(classify: Run, picture: Callable[[str], bytes]) -> None:
    first, second = classify(picture("chelsea"), top_k="2")
    assert first["class_name"] == "tiger cat"
    assert first["confidence"] == pytest.approx(0.39, abs=0.015)
    assert second["class_name"] == "Egyptian cat"
    assert second["confidence"] == pytest.approx(0.36, abs=0.015)


def test_a_classifier_answers_five_classes_unless_asked_otherwise(
    classify: Run, picture: Callable[[str], bytes]
) -> None:
    found = classify(picture("chelsea"))
    assert len(found) == 5
    assert [item["confidence"] for item in found] == sorted((item["confidence"] for item in found), reverse=True)
