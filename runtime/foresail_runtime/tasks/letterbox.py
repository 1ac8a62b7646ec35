"""Fit a picture into a rectangle without distorting it: scaled, centred, grey around it; and back again."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

GREY: Final = (114, 114, 114)
"""What YOLO's training pads with."""


@dataclasses.dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture of `width` x `height` lies in the rectangle: its scale and its left upper corner."""

    width: int
    height: int
    scale: float
    left: int
    top: int

    @classmethod
    def fit(cls, size: tuple[int, int], into: tuple[int, int]) -> Letterbox:
        """Return how a picture of `size` (width, height) lies in a rectangle of `into` (width, height)."""
        scale = min(into[0] / size[0], into[1] / size[1])
        inner = _inner(size, scale)
        return cls(size[0], size[1], scale, (into[0] - inner[0]) // 2, (into[1] - inner[1]) // 2)

    def draw(self, picture: Image.Image, into: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
        """Return the rectangle with the picture in it."""
        inner = _inner((self.width, self.height), self.scale)
        scaled = picture if inner == picture.size else picture.resize(inner, resampling)
        if inner == into:
            return scaled
        canvas = Image.new("RGB", into, GREY)
        canvas.paste(scaled, (self.left, self.top))
        return canvas

    def undo(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return x1, y1, x2, y2 rows in the picture's own pixels, clipped to the picture."""
        offset = np.array([self.left, self.top, self.left, self.top], dtype=np.float32)
        limit = np.array([self.width, self.height, self.width, self.height], dtype=np.float32)
        clipped: npt.NDArray[np.float32] = np.clip((boxes - offset) / np.float32(self.scale), 0, limit)
        return clipped


def _inner(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
