"""The drawn picture: boxes where the answer says, labels inside the picture."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageChops

from foresail_runtime.tasks import draw


def found(*box: float, name: str = "cat", class_id: int = 15) -> dict[str, Any]:
    return {"class_id": class_id, "class_name": name, "confidence": 0.9, "box": list(box)}


def drawn(picture: Image.Image, *detections: dict[str, Any]) -> Image.Image:
    result = Image.open(io.BytesIO(draw.draw(picture, detections)))
    assert result.format == "PNG"
    return result


def test_a_box_is_drawn_where_the_answer_says_and_its_inside_left_alone() -> None:
    picture = Image.new("RGB", (300, 200), (50, 50, 50))
    result = drawn(picture, found(50, 80, 250, 150))
    assert picture.getpixel((50, 100)) == (50, 50, 50)
    assert result.getpixel((50, 100)) != (50, 50, 50)
    assert result.getpixel((250, 100)) != (50, 50, 50)
    assert result.getpixel((150, 150)) != (50, 50, 50)
    assert result.getpixel((150, 120)) == (50, 50, 50)


@pytest.mark.parametrize("box", [(0, 0, 300, 200), (290, 190, 300, 200), (0, 195, 300, 200), (299, 0, 300, 1)])
def test_a_label_at_the_edge_stays_inside_the_picture(box: tuple[float, ...]) -> None:
    picture = Image.new("RGB", (300, 200))
    changed = ImageChops.difference(picture, drawn(picture, found(*box, name="dining table"))).convert("L")
    assert sum(changed.histogram()[1:]) > 500


@pytest.mark.parametrize("name", ["猫", "كلب", "a 🐶", "", "\ud83d"])
def test_a_name_that_the_font_lacks_letters_of_is_written_as_the_class_s_number(name: str) -> None:
    picture = Image.new("RGB", (300, 200))
    assert drawn(picture, found(50, 80, 250, 150, name=name)) == drawn(
        picture, found(50, 80, 250, 150, name="class 15")
    )


def test_letters_that_the_font_has_are_written_on_one_line() -> None:
    picture = Image.new("RGB", (300, 200))
    assert drawn(picture, found(50, 80, 250, 150, name="ñandú")) == drawn(
        picture, found(50, 80, 250, 150, name="nandu")
    )
    assert drawn(picture, found(50, 80, 250, 150, name="a\nb")) == drawn(picture, found(50, 80, 250, 150, name="a b"))


def test_nothing_found_gives_the_picture_itself() -> None:
    picture = Image.new("RGB", (30, 20), (1, 2, 3))
    assert drawn(picture).tobytes() == picture.tobytes()


def test_the_same_class_has_the_same_colour_everywhere() -> None:
    picture = Image.new("RGB", (300, 200))
    one = drawn(picture, found(10, 50, 100, 190))
    two = drawn(picture, found(150, 50, 290, 190))
    assert one.getpixel((10, 150)) == two.getpixel((150, 150))
    assert drawn(picture, found(10, 50, 100, 190, class_id=16)).getpixel((10, 150)) != one.getpixel((10, 150))


def test_a_huge_picture_is_scaled_down_before_it_is_drawn_on() -> None:
    result = drawn(Image.new("RGB", (8192, 1024)), found(0, 0, 8192, 1024))
    assert result.size == (4096, 512)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2, 500)])
def test_a_tiny_picture_is_drawn_on_without_complaint(size: tuple[int, int]) -> None:
    assert drawn(Image.new("RGB", size), found(0, 0, *size)).size == size
