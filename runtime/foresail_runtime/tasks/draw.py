"""The picture with its boxes, class names and confidences drawn in, as PNG."""

from __future__ import annotations

import colorsys
import io
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

_GOLDEN_RATIO: Final = 0.618
_MAX_LETTERS: Final = 100
_NO_LETTER: Final = "\uffff"
_MAX_SIDE: Final = 4096
"""A larger picture is scaled down before it is drawn on: encoding PNG costs more than finding the boxes."""


def draw(picture: Image.Image, detections: Sequence[dict[str, Any]]) -> bytes:
    """Return PNG bytes of the picture with the detections of an answer; the picture itself is not changed."""
    canvas, scale = _canvas(picture)
    pen = ImageDraw.Draw(canvas)
    short = min(canvas.size)
    width = max(2, short // 200)
    font = ImageFont.load_default(size=max(12, short // 28))
    for detection in reversed(detections):  # the surest box is drawn last, on top
        box = _corners(detection["box"], scale, canvas.size)
        colour = _colour(detection["class_id"])
        pen.rectangle(box, outline=colour, width=width)
        name = _writable(detection["class_name"], font) or f"class {detection['class_id']}"
        _label(pen, f"{name} {detection['confidence']:.2f}", box, colour, font)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _writable(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return the name on one line and not too long; empty where the font, which Pillow brings, lacks a letter.

    Of a letter that it lacks with its accent it may have the letter itself.
    """
    letters = [letter if _has(font, letter) else _plain(letter) for letter in " ".join(name.split())[:_MAX_LETTERS]]
    return "".join(letters) if all(letters) else ""


def _plain(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()


def _has(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, letter: str) -> bool:
    """Tell whether the font has the letter: what it lacks looks as what no font has."""
    if letter.isascii():
        return True
    try:
        return bytes(font.getmask(letter)) != bytes(font.getmask(_NO_LETTER))
    except (UnicodeError, ValueError):
        return False


def _canvas(picture: Image.Image) -> tuple[Image.Image, float]:
    scale = min(1.0, _MAX_SIDE / max(picture.size))
    if scale == 1.0:
        return picture.copy(), 1.0
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR), scale


def _corners(box: Sequence[float], scale: float, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the box on the canvas, its edges inside: the last pixel is one less than the side."""
    right, bottom = size[0] - 1, size[1] - 1
    x1, y1, x2, y2 = (side * scale for side in box)
    return min(x1, right), min(y1, bottom), min(x2, right), min(y2, bottom)


def _label(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Write above the box's left upper corner, inside it where there is no room above; never beyond the picture."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = 3
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0.0, min(box[0], pen.im.size[0] - width))
    y = box[1] - height if box[1] >= height else min(box[1], pen.im.size[1] - height)
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + pad - left, y + pad - top), text, fill=_ink(colour), font=font)


def _colour(class_id: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN_RATIO % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if brightness > 128 else (255, 255, 255)
