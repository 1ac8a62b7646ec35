"""Every kind of picture file people have, and what is no picture."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foresail_runtime import errors
from foresail_runtime.tasks import images

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

RED, BLUE = (255, 0, 0), (0, 0, 255)


def decode(data: bytes, max_pixels: int = images.MAX_PIXELS) -> Image.Image:
    with images.decoded(data, max_pixels) as picture:
        return picture


def encode(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def halves(mode: str = "RGB") -> Image.Image:
    """A picture of 40 x 20, red on the left, blue on the right."""
    picture = Image.new("RGB", (40, 20), RED)
    picture.paste(BLUE, (20, 0, 40, 20))
    return picture.convert(mode)


def colour(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"quality": 95, "progressive": True}),
        ("JPEG", "CMYK", {"quality": 95}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("GIF", "P", {}),
    ],
)
def test_every_format_and_mode_comes_out_as_rgb(form: str, mode: str, options: dict[str, Any]) -> None:
    picture = decode(encode(halves(mode), form, **options))
    assert (picture.mode, picture.size) == ("RGB", (40, 20))
    assert colour(picture, 5, 10) == pytest.approx(RED, abs=12)
    assert colour(picture, 35, 10) == pytest.approx(BLUE, abs=12)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_pictures_come_out_as_rgb(mode: str) -> None:
    picture = decode(encode(Image.new("L", (4, 4), 255).convert(mode)))
    assert (picture.mode, colour(picture, 0, 0)) == ("RGB", (255, 255, 255))


def test_16_bit_grey_keeps_its_upper_8_bits() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    picture = decode(encode(Image.fromarray(values)))
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_16_bit_grey_of_which_one_value_is_transparent_lies_on_white() -> None:
    values = np.array([[1000, 1001, 65535]], dtype=np.uint16)
    picture = decode(encode(Image.fromarray(values), transparency=1000))
    assert np.asarray(picture)[0, :, 0].tolist() == [255, 3, 255]


def test_16_bit_colour_keeps_its_upper_8_bits() -> None:
    row = b"\0" + struct.pack(">6H", 0x1234, 0x8000, 0xFFFF, 0, 0x00FF, 0x0100)
    picture = decode(png_of(2, 1, 16, 2, row))
    assert np.asarray(picture)[0].tolist() == [[0x12, 0x80, 0xFF], [0, 0, 1]]


def test_transparent_pixels_are_laid_over_white() -> None:
    picture = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (255, 0, 0, 255))
    picture.putpixel((2, 0), (0, 0, 0, 128))
    decoded = decode(encode(picture))
    assert [colour(decoded, x, 0) for x in range(3)] == [(255, 255, 255), RED, (127, 127, 127)]


def test_a_transparent_colour_of_a_palette_is_laid_over_white() -> None:
    picture = halves("P")
    transparent = picture.getpixel((5, 10))
    decoded = decode(encode(picture, transparency=transparent))
    assert colour(decoded, 5, 10) == (255, 255, 255)
    assert colour(decoded, 35, 10) == BLUE


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), shade) for shade in (RED, BLUE)]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], duration=50)
    assert colour(decode(data), 4, 4) == pytest.approx(RED, abs=5)


@pytest.mark.parametrize("form", ["GIF", "PNG"])
def test_an_animation_cut_short_behind_its_first_frame_is_that_frame(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), shade) for shade in (RED, BLUE)]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], duration=50)
    assert colour(decode(data[:-20]), 4, 4) == RED


# What each orientation has to become: where the red half of `halves` is seen.
@pytest.mark.parametrize(
    ("orientation", "size", "red"),
    [
        (1, (40, 20), (5, 10)),
        (2, (40, 20), (35, 10)),
        (3, (40, 20), (35, 10)),
        (4, (40, 20), (5, 10)),
        (5, (20, 40), (10, 5)),
        (6, (20, 40), (10, 5)),
        (7, (20, 40), (10, 35)),
        (8, (20, 40), (10, 35)),
        (0, (40, 20), (5, 10)),
        (9, (40, 20), (5, 10)),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(form: str, orientation: int, size: tuple[int, int], red: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encode(halves(), form, exif=exif, quality=95))
    assert picture.size == size
    assert colour(picture, *red) == pytest.approx(RED, abs=12)


def test_broken_exif_counts_as_none() -> None:
    data = encode(halves(), "JPEG", exif=b"Exif\0\0rubbish that is no TIFF header")
    assert decode(data).size == (40, 20)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_picture_cut_short_is_refused_with_a_sentence(
    picture: Callable[[str], bytes], form: str, part: float
) -> None:
    whole = encode(Image.open(io.BytesIO(picture("coffee"))).convert("RGB").resize((120, 80)), form)
    with pytest.raises(errors.InvalidRequest, match=r"cut short|not a picture"):
        decode(whole[: int(len(whole) * part)])


@pytest.mark.parametrize(
    "rubbish",
    [
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"BM",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        bytes(1000),
        b"II*\0" + bytes(100),
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(rubbish: bytes) -> None:
    with pytest.raises(errors.InvalidRequest, match="send"):
        decode(rubbish)


def test_an_empty_body_is_refused_with_what_to_send() -> None:
    with pytest.raises(errors.InvalidRequest, match="send its bytes as the body"):
        decode(b"")


@pytest.mark.parametrize("side", [7100, 20_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(errors.TooLarge, match="at most 50000000"):
        decode(png_of(side, side, 8, 2, b""))


def test_the_limit_on_pixels_can_be_lowered() -> None:
    assert decode(encode(halves()), max_pixels=800).size == (40, 20)
    with pytest.raises(errors.TooLarge, match="40 x 20"):
        decode(encode(halves()), max_pixels=799)


def test_a_compressed_text_chunk_can_not_blow_up() -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    data = encode(halves())
    with pytest.raises(errors.InvalidRequest):
        decode(data[:33] + bomb + data[33:])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # its remarks on broken EXIF
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
@given(st.randoms(use_true_random=False))
def test_a_damaged_picture_gives_pixels_or_a_sentence(form: str, dice: random.Random) -> None:
    whole = bytearray(SMALL[form])
    for _ in range(dice.randint(1, 8)):
        whole[dice.randrange(len(whole))] = dice.randrange(256)
    with contextlib.suppress(errors.InvalidRequest, errors.TooLarge):
        assert decode(bytes(whole), max_pixels=100_000).mode == "RGB"


def _small(form: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(3).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return encode(Image.fromarray(noise), form, exif=exif)


SMALL = {form: _small(form) for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF")}


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
