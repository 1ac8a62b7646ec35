"""What shows that an output is not the layout that its shape looks like, so that nobody gets boxes that are wrong.

Turned boxes have an angle, and poses their key points, where others have scores; some exports leave the last sigmoid,
or the way from a cell of the grid to pixels, to who reads them. Their shapes are the same; their numbers are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime.tasks import layouts

if TYPE_CHECKING:
    import numpy.typing as npt

    from foresail_runtime.tasks.layouts import Candidates, Head

_SLACK: Final = 0.01
"""By so much a score may be under 0 or over 1: rounding, and quantisation."""
_NO_PIXELS: Final = 2
"""No detector finds things so small; boxes from 0 to 1, which may stand out a bit, are."""
_BEYOND: Final = 1.5
"""By so much of its size the middle of no box is away from the input's corner, however unsure the box is."""
_NO_GRID: Final = 8
"""The anchors of a whole picture reach further; distances in cells, and logarithms of sizes, do not."""


def contradiction(output: npt.NDArray[np.floating], layout: layouts.Layout, head: Head, found: Candidates) -> str:
    """Return what in an output of one picture its layout can't be; "" where nothing is. `found` was read from it."""
    match layout:
        case layouts.Layout.CLASSES:
            boxes, scores = output[:4], output[4 : output.shape[0] - head.extra]
        case layouts.Layout.ROWS:
            return contradiction(output.T, layouts.Layout.CLASSES, head, found)
        case layouts.Layout.OBJECTNESS:
            boxes, scores = output[:, :4].T, output[:, 4]
        case layouts.Layout.END_TO_END:
            return _of_scores(output[:, 4].clip(0), found) or _of_rows(output, found) or _of_size(head, found)
    return _of_scores(scores, found) or ("" if head.relative else _of_boxes(boxes, found))


def _of_scores(scores: npt.NDArray[np.floating], found: Candidates) -> str:
    low, high = float(scores.min(initial=0)), float(max(scores.max(initial=0), found.scores.max(initial=0)))
    if not (low < -_SLACK or high > 1 + _SLACK):  # of numbers that are none, too
        return ""
    return (
        f"what would be scores of classes goes from {low:.2f} to {high:.2f}, and not from 0 to 1: the output has "
        "scores before their sigmoid, columns in another order, or turned boxes or key points that no metadata names"
    )


def _of_boxes(boxes: npt.NDArray[np.floating], found: Candidates) -> str:
    if not found.boxes.size or not 0 < boxes.max() <= _NO_GRID:
        return ""
    return f"{_no_place(_NO_GRID)}; or they are in cells, as YOLOX exports them without `--decode_in_inference`"


def _of_rows(output: npt.NDArray[Any], found: Candidates) -> str:
    if not found.boxes.size:
        return ""
    if 0 < found.boxes.max() <= _NO_PIXELS:
        return _no_place(_NO_PIXELS)
    classes = output[(output[:, 4] > 0) & np.isfinite(output[:, 5]), 5]
    if (classes % 1 > 0).any():
        return "what would be the number of a class is no whole number: the output has its columns in another order"
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    if 2 * np.count_nonzero(sides.min(axis=1) < 0) > len(sides):
        return "most boxes end before they begin: they are not x1, y1, x2, y2"
    return ""


def _of_size(head: Head, found: Candidates) -> str:
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    if not (middles > _BEYOND * np.array(head.input_size)).any():
        return ""
    x, y = middles.max(axis=0)
    width, height = head.input_size
    return (
        f"boxes have their middle as far as x {x:.0f}, y {y:.0f} in an input of {width} x {height}: they are in pixels "
        "of another size, a constant in the model; make it the input's"
    )


def _no_place(pixels: int) -> str:
    return (
        f"every box that the model gives lies within its first {pixels} pixels: its boxes are from 0 to 1, as those of "
        "RT-DETR, of which only Ultralytics' exports, which say so in their metadata `description`, are read"
    )
