"""Fit a picture into a rectangle and find the way back: scaled alike and centred with grey around it, or stretched."""

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
    """Where a picture of `width` x `height` lies in the rectangle: its scales and its left upper corner."""

    width: int
    height: int
    across: float
    """Scale of what goes from left to right."""
    down: float
    """Scale of what goes from top to bottom: the same, but for a picture that is stretched."""
    left: int
    top: int

    @classmethod
    def fit(cls, size: tuple[int, int], into: tuple[int, int], *, stretch: bool = False) -> Letterbox:
        """Return how a picture of `size` (width, height) lies in a rectangle of `into` (width, height).

        Where it is not to `stretch`, its shape is kept.
        """
        across, down = into[0] / size[0], into[1] / size[1]
        if not stretch:
            across = down = min(across, down)
        width, height = _inner(size, across, down)
        return cls(size[0], size[1], across, down, (into[0] - width) // 2, (into[1] - height) // 2)

    def draw(self, picture: Image.Image, into: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
        """Return the rectangle with the picture in it."""
        inner = _inner((self.width, self.height), self.across, self.down)
        scaled = picture if inner == picture.size else picture.resize(inner, resampling)
        if inner == into:
            return scaled
        canvas = Image.new("RGB", into, GREY)
        canvas.paste(scaled, (self.left, self.top))
        return canvas

    def undo(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return x1, y1, x2, y2 rows in the picture's own pixels, clipped to the picture."""
        offset = np.array([self.left, self.top, self.left, self.top], dtype=np.float32)
        scales = np.array([self.across, self.down, self.across, self.down], dtype=np.float32)
        limit = np.array([self.width, self.height, self.width, self.height], dtype=np.float32)
        clipped: npt.NDArray[np.float32] = np.clip((boxes - offset) / scales, 0, limit)
        return clipped


def _inner(size: tuple[int, int], across: float, down: float) -> tuple[int, int]:
    return max(1, round(size[0] * across)), max(1, round(size[1] * down))
