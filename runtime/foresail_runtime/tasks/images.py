"""Decode a picture someone sent into upright RGB, or say in a sentence why that can't be done.

The bytes are untrusted: only the formats of FORMATS are tried, and the size in the header is checked before any
pixel is decoded. What is decided here, since files differ from what people see on their screens:

- EXIF orientation is applied; boxes are in the pixels of the upright picture. Broken EXIF counts as none.
- Transparent pixels are laid over white, as a page would show them.
- 16-bit grey keeps its upper 8 bits; CMYK is converted without a colour profile.
- Of an animation the first frame is taken.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from foresail_runtime.room import Budget

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_PIXELS: Final = 50_000_000
"""A 48-megapixel phone's picture passes; to decode it takes up to 350 MB."""
_BYTES_A_PIXEL: Final = 7
"""While a picture is decoded: up to four as they are in the file, and three in RGB."""
_BAND: Final = 64
"""Rows at a time that are laid over white."""

_ORIENTATION: Final = 0x0112
_UPRIGHT: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise on bytes that are no picture, or not all of one.
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


def resampling(name: str) -> Image.Resampling:
    """Return the filter of a name, which is Pillow's in small letters."""
    return Image.Resampling[name.upper()]


@contextlib.contextmanager
def decoded(data: bytes, max_pixels: int = MAX_PIXELS, budget: Budget | None = None) -> Iterator[Image.Image]:
    """Give the picture, upright and in RGB, for a block; its pixels count in the budget until the block ends.

    Where the budget is used up it is waited for, before anything is decoded.

    Raises:
        InvalidRequest: The bytes are no picture of a known format, or not a whole one.
        TooLarge: It has more than `max_pixels` pixels; nothing was decoded.
    """
    picture = _open(data, max_pixels)
    width, height = picture.size
    with contextlib.nullcontext() if budget is None else budget.taken(width * height * _BYTES_A_PIXEL):
        yield _decoded(picture)


def _decoded(picture: Image.Image) -> Image.Image:
    try:
        picture.load()
        return _upright(_rgb(picture), _orientation(picture))
    except _BROKEN as error:
        raise errors.InvalidRequest(
            f"the {picture.format} picture is damaged or cut short ({error}): send the whole file"
        ) from error


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise errors.InvalidRequest("the request has no picture: send its bytes as the body, or as a multipart file")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise errors.TooLarge(f"the picture has too many pixels, at most {max_pixels} are taken") from error
    except _BROKEN as error:
        raise errors.InvalidRequest("the body is not a picture: send JPEG, PNG, WebP, BMP or GIF bytes") from error
    width, height = picture.size
    if width * height > max_pixels:
        raise errors.TooLarge(
            f"the picture has {width} x {height} pixels, at most {max_pixels} are taken: scale it down"
        )
    return picture


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    transpose = _UPRIGHT.get(orientation)
    return picture if transpose is None else picture.transpose(transpose)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I"):
        return _grey_of_16_bits(picture)
    if picture.has_transparency_data:
        return _over_white(picture)
    return picture.convert("RGB")


def _over_white(picture: Image.Image) -> Image.Image:
    """Lay a picture over white, band by band: as a whole it would be there four times."""
    width, height = picture.size
    result = Image.new("RGB", picture.size)
    for top in range(0, height, _BAND):
        band = picture.crop((0, top, width, min(top + _BAND, height))).convert("RGBA")
        white = Image.new("RGBA", band.size, (255, 255, 255, 255))
        result.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    return result


def _grey_of_16_bits(picture: Image.Image) -> Image.Image:
    # A plain convert() would clip every value over 255 to white.
    grey = picture.convert("I").point(lambda value: value * (1 / 256), "L")
    if isinstance(clear := picture.info.get("transparency"), int):  # one value is transparent, and lies on white
        grey.paste(255, mask=Image.fromarray(np.asarray(picture) == clear))
    return grey.convert("RGB")
