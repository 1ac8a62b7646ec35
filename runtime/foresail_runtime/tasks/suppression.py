"""Non-maximum suppression: of boxes of one class that overlap, keep the one the model is surest of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from foresail_runtime.tasks import layouts


def keep(candidates: layouts.Candidates, iou: float, top_k: int) -> npt.NDArray[np.intp]:
    """Return the indices that stay, surest first, at most `top_k`; a box goes if its overlap is over `iou`.

    Boxes of different classes never suppress each other. It stops at the `top_k`th box that stays, so the work is
    bounded by top_k passes over what is left.
    """
    boxes, classes = candidates.boxes, candidates.classes
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    left = np.argsort(-candidates.scores, kind="stable")
    kept: list[int] = []
    while left.size and len(kept) < top_k:
        first, left = left[0], left[1:]
        kept.append(int(first))
        overlap = _overlap(boxes[first], areas[first], boxes[left], areas[left])
        left = left[(overlap <= iou) | (classes[left] != classes[first])]
    return np.array(kept, dtype=np.intp)


def _overlap(
    box: npt.NDArray[np.float32], area: np.float32, others: npt.NDArray[np.float32], areas: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    corner = np.maximum(box[:2], others[:, :2])
    sides = np.maximum(np.minimum(box[2:], others[:, 2:]) - corner, 0)
    shared = sides[:, 0] * sides[:, 1]
    union = area + areas - shared
    overlap: npt.NDArray[np.float32] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap
