"""Non-maximum suppression: of boxes of one class that overlap, keep the one the model is surest of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from foresail_runtime.tasks import layouts

MAX_CANDIDATES: Final = 20_000
"""So many of the surest boxes are compared: it bounds the work for one picture to about a second."""
_BLOCK: Final = 256
"""Boxes that are compared at a time: what is computed of them stays in the processor's cache."""


def keep(candidates: layouts.Candidates, iou: float, top_k: int) -> npt.NDArray[np.intp]:
    """Return the indices that stay, surest first, at most `top_k`; a box goes if its overlap is over `iou`.

    Boxes of different classes never suppress each other. The work is bounded by MAX_CANDIDATES times
    `top_k` comparisons, and most pictures end far earlier.
    """
    order = np.argsort(-candidates.scores, kind="stable")[:MAX_CANDIDATES]
    if iou >= 1:  # no overlap is more than 1
        return order[:top_k]
    ranks = [ranked[_stay(candidates.boxes[order[ranked]], iou, top_k)] for ranked in _by_class(candidates, order)]
    return order[np.sort(np.concatenate(ranks))[:top_k]] if ranks else order


def _by_class(candidates: layouts.Candidates, order: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """Yield for each class the places in `order` that are its boxes', surest first."""
    classes = candidates.classes[order]
    together = np.argsort(classes, kind="stable")
    yield from np.split(together, np.flatnonzero(np.diff(classes[together])) + 1) if together.size else ()


def _stay(boxes: npt.NDArray[np.float32], iou: float, most: int) -> npt.NDArray[np.intp]:
    """Return which boxes of one class stay; they come surest first, and it stops at the one that makes it `most`.

    Block by block: first go those that a box kept before overlaps, then those that one in the block does.
    """
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    kept = np.empty(0, dtype=np.intp)
    for start in range(0, len(boxes), _BLOCK):
        left = np.arange(start, min(start + _BLOCK, len(boxes)))
        for first in range(0, kept.size, _BLOCK):
            before = kept[first : first + _BLOCK]
            left = left[~_overlap(boxes, areas, before, left, iou).any(axis=0)]
            if not left.size:
                break
        kept = np.concatenate((kept, left[_greedy(_overlap(boxes, areas, left, left, iou))]))
        if kept.size >= most:
            break
    return kept[:most]


def _greedy(over: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which stay of boxes that all overlap as the matrix says, each giving way to those before it."""
    stays = np.ones(len(over), dtype=np.bool_)
    for place in np.flatnonzero(np.triu(over, 1).any(axis=1)).tolist():
        if stays[place]:
            stays[place + 1 :] &= ~over[place, place + 1 :]
    return stays


def _overlap(
    boxes: npt.NDArray[np.float32],
    areas: npt.NDArray[np.float32],
    some: npt.NDArray[np.intp],
    others: npt.NDArray[np.intp],
    iou: float,
) -> npt.NDArray[np.bool_]:
    """Return a row for each of `some`, and in it which of `others` it overlaps by more than `iou`."""
    one, other = boxes[some, :, np.newaxis], boxes[others].T
    shared = np.maximum(np.minimum(one[:, 2], other[2]) - np.maximum(one[:, 0], other[0]), 0)
    shared *= np.maximum(np.minimum(one[:, 3], other[3]) - np.maximum(one[:, 1], other[1]), 0)
    union = areas[some, np.newaxis] + areas[others] - shared
    overlap: npt.NDArray[np.bool_] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0) > iou
    return overlap
