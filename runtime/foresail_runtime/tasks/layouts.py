"""The tensor layouts in which detectors of the YOLO family are exported, told apart and read into candidates.

| layout | shape | a column or row holds |
|---|---|---|
| CLASSES | [N, 4 + C + X, A] | cx, cy, w, h, C class scores, X more (YOLOv8, YOLO11) |
| OBJECTNESS | [N, A, 5 + C + X] | cx, cy, w, h, objectness, C class scores, X more (YOLOv5, YOLOv7) |
| ROWS | [N, A, 4 + C + X] | the same as CLASSES, turned round (some converters do) |
| END_TO_END | [N, K, 6 + X] | x1, y1, x2, y2, score, class: suppression is done already (YOLOv10, `nms=True`) |

X are the mask coefficients or key points of a segmentation or pose export, which `parts` reads. Boxes, scores and
classes in outputs of their own are put together by `finished`, and then END_TO_END as well.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_STRIDES: Final = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
_RARE_STRIDES: Final = ((4, 8, 16, 32), (8, 16, 32, 64, 128))
_ANCHORS_A_CELL: Final = 3
_PAIR: Final = 2
_MOST_CLASSES: Final = 2**20
_WELL_KNOWN: Final = 80
"""Classes of COCO, which most exports score: of two readings the one that gives this many is right."""


class Layout(enum.Enum):
    """How one row of the table above is read."""

    CLASSES = "classes"
    ROWS = "rows"
    OBJECTNESS = "objectness"
    END_TO_END = "end-to-end"


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """What is known of a detector before its output is seen."""

    input_size: tuple[int, int]
    """Width and height of its input."""
    class_count: int | None
    """From the class names; None where the model names none."""
    extra: int = 0
    """The X of the table."""
    end_to_end: bool = False
    """The export says that suppression is part of the model."""
    relative: bool = False
    """The export is one whose boxes are parts of the input's size, from 0 to 1, in ROWS (RT-DETR)."""

    def with_classes(self, count: int | None) -> Head:
        """Return the same with another number of classes."""
        return dataclasses.replace(self, class_count=count)


class Candidates(NamedTuple):
    """Boxes as x1, y1, x2, y2 in pixels of the input, with the best class of each."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    extras: npt.NDArray[np.float32]
    """The X of the table, a row a box."""

    def pick(self, chosen: npt.NDArray[Any]) -> Candidates:
        """Return some of them, by index or by truth."""
        return Candidates(self.boxes[chosen], self.scores[chosen], self.classes[chosen], self.extras[chosen])


def choose(shape: tuple[int, ...], head: Head) -> Layout | None:
    """Return the layout of an output of this shape; None where it is none, or -1 leaves it open."""
    if len(shape) != 3:
        return None
    rows, columns = shape[1], shape[2]
    if head.relative:
        fits = columns == 4 + head.class_count if head.class_count is not None else columns > 4
        return Layout.ROWS if fits else None
    if columns == 6 + head.extra:
        return _six_columns(rows, head)
    if head.class_count is not None:
        return _by_class_count(rows, columns, head.class_count + head.extra)
    return _by_grid(rows, columns, head) or _by_length(rows, columns, head)


def is_likely(shape: tuple[int, ...], layout: Layout, head: Head) -> bool:
    """Tell whether an output that can be read so is a detector's, of which only the shapes are known.

    Much has three dimensions: tokens of a vision transformer, letters of a line of text, depths of a picture. But of
    anchors there are as many as follow from the input's size, or that size and their number are both open.
    """
    if layout is Layout.END_TO_END:
        return True
    anchors, numbers = (shape[2], shape[1]) if layout is Layout.CLASSES else (shape[1], shape[2])
    known = [side > 0 for side in head.input_size]
    if anchors > 0 and all(known):
        every = _STRIDES + _RARE_STRIDES
        return any(anchors in _anchors(head.input_size, a_cell, every) for a_cell in (1, _ANCHORS_A_CELL))
    return numbers <= 5 + _WELL_KNOWN + head.extra and (all(known) or not any(known))


def class_count(layout: Layout, shape: tuple[int, ...], head: Head) -> int | None:
    """Return how many classes an output of this shape scores; None where it does not say."""
    match layout:
        case Layout.CLASSES:
            return shape[1] - 4 - head.extra
        case Layout.ROWS:
            return shape[2] - 4 - head.extra
        case Layout.OBJECTNESS:
            return shape[2] - 5 - head.extra
        case Layout.END_TO_END:
            return head.class_count


def read(output: npt.NDArray[np.floating], layout: Layout, head: Head, confidence: float) -> Candidates:
    """Return what an output of one picture says with at least this confidence.

    An anchor that scores 0 says nothing, whatever the confidence.
    """
    match layout:
        case Layout.CLASSES:
            end = output.shape[0] - head.extra
            scored = output[4:end]
            return _best(output[:4].T, scored.T, scored.max(axis=0), output[end:].T, confidence)
        case Layout.ROWS:
            return read(output.T, Layout.CLASSES, head, confidence)
        case Layout.OBJECTNESS:
            sure = output[output[:, 4] >= confidence].astype(np.float32)  # a product with a score up to 1 is no larger
            end = sure.shape[1] - head.extra
            scored = sure[:, 5:end] * sure[:, 4:5]
            return _best(sure[:, :4], scored, scored.max(axis=1, initial=0), sure[:, end:], confidence)
        case Layout.END_TO_END:
            sure = output[_is_sure(output[:, 4], confidence) & (output[:, 5] >= 0) & (output[:, 5] < _MOST_CLASSES)]
            sure = sure.astype(np.float32)  # a row of no class is how some exports fill up
            return _finite(sure[:, :4], sure[:, 4], sure[:, 5], sure[:, 6:])


def _is_sure(scores: npt.NDArray[np.floating], confidence: float) -> npt.NDArray[np.bool_]:
    sure: npt.NDArray[np.bool_] = (scores >= confidence) & (scores > 0)
    return sure


def _best(
    centred: npt.NDArray[np.floating],
    scored: npt.NDArray[np.floating],
    best: npt.NDArray[np.floating],
    extras: npt.NDArray[np.floating],
    confidence: float,
) -> Candidates:
    keep = np.flatnonzero(_is_sure(best, confidence))
    boxes = centred[keep].astype(np.float32)
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    classes = scored[keep].argmax(axis=1) if keep.size else np.empty(0, dtype=np.int64)
    return _finite(corners, best[keep].astype(np.float32), classes, extras[keep].astype(np.float32))


def _finite(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.generic],
    extras: npt.NDArray[np.float32],
) -> Candidates:
    keep = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & np.isfinite(classes.astype(np.float64))
    return Candidates(boxes[keep], scores[keep], classes[keep].astype(np.int64), extras[keep])


def _by_class_count(rows: int, columns: int, scores: int) -> Layout | None:
    if rows == 4 + scores:
        return Layout.CLASSES
    if columns == 5 + scores:
        return Layout.OBJECTNESS
    return Layout.ROWS if columns == 4 + scores else None


def _by_grid(rows: int, columns: int, head: Head) -> Layout | None:
    """Tell the side of the anchors by their number, which follows from the input's size; None where it does not.

    Which side is longer says nothing for a small input: one of 32 x 32 has 21 anchors for 84 rows.
    """
    if columns in _anchors(head.input_size, 1) and (rows < 0 or rows >= 5 + head.extra):
        return Layout.CLASSES
    if rows in _anchors(head.input_size, 1) and columns == 4 + _WELL_KNOWN + head.extra:
        return Layout.ROWS
    several = _anchors(head.input_size, 1) | _anchors(head.input_size, _ANCHORS_A_CELL)
    return Layout.OBJECTNESS if rows in several and (columns < 0 or columns >= 6 + head.extra) else None


def _by_length(rows: int, columns: int, head: Head) -> Layout | None:
    """Take the longer side for that of the anchors."""
    if rows >= 5 + head.extra and (columns < 0 or rows < columns):
        return Layout.CLASSES
    return Layout.OBJECTNESS if columns >= 6 + head.extra and (rows < 0 or columns < rows) else None


def _six_columns(rows: int, head: Head) -> Layout | None:
    """Tell [N, K, 6] from one class with objectness, and from two without: they have a row for each anchor."""
    if head.end_to_end:
        return Layout.END_TO_END
    if head.class_count == _PAIR and rows in _anchors(head.input_size, 1):
        return Layout.ROWS
    if head.class_count not in (None, 1):
        return Layout.END_TO_END
    if rows < 0:
        return None
    return Layout.OBJECTNESS if rows in _anchors(head.input_size, _ANCHORS_A_CELL) else Layout.END_TO_END


def _anchors(size: tuple[int, int], a_cell: int, every: tuple[tuple[int, ...], ...] = _STRIDES) -> frozenset[int]:
    """Return how many anchors an input of that size can have; none where its size is not known."""
    width, height = size
    if not (width and height):
        return frozenset()
    return frozenset(
        a_cell * sum(-(-width // stride) * -(-height // stride) for stride in strides) for strides in every
    )
