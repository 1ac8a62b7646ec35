"""What segmentation and pose exports say beside a box: a mask, or key points.

A mask is the sign of the box's coefficients times the model's prototypes, inside the box. It is answered as COCO
writes masks without compression: `size` [height, width] and `counts`, the lengths of runs of 0 and 1 in turn, column
by column, beginning with 0. The size is the picture's, or that of the picture scaled down to a side of MAX_SIDE.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from foresail_runtime.tasks import pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from foresail_runtime import tensors
    from foresail_runtime.tasks import letterbox

MAX_SIDE: Final = 1024
"""Bounds the work for one mask, whatever the picture's size is."""


def prototypes(signature: tensors.Signature) -> tensors.TensorSpec | None:
    """Return the output that holds a segmentation's prototypes, [N, P, H, W]; None if there is none.

    Maps of the picture's own size, or of an eighth of it, are something else: a road's lanes, the heads before boxes.
    """
    picture = pixels.picture_spec(signature)
    sides = pixels.sides(picture) if picture is not None else (-1, -1)
    return next((spec for spec in signature.outputs if _are_prototypes(spec.shape, sides)), None)


def _are_prototypes(shape: tuple[int, ...], sides: tuple[int, int]) -> bool:
    return (
        len(shape) == 4
        and shape[1] > 0
        and all(side < 0 or own < 0 or side in (2 * own, 4 * own) for own, side in zip(shape[2:], sides, strict=True))
    )


def point_shape(metadata: Mapping[str, str], numbers: int | None) -> tuple[int, int] | None:
    """Return how many key points there are and how many numbers each has; None where the model finds none.

    `numbers` are those an anchor has beside its box and its scores, for exports that say pose and not how many.
    """
    said = tuple(int(number) for number in pixels.numbers(metadata, "kpt_shape"))
    if len(said) == 2:
        return said[0], said[1]
    if metadata.get("task") != "pose" or numbers is None or numbers < 2:
        return None
    return (numbers // 3, 3) if numbers % 3 == 0 else (numbers // 2, 2)


def points(found: npt.NDArray[np.float32], shape: tuple[int, int], box: letterbox.Letterbox) -> list[list[list[float]]]:
    """Return each detection's key points in the picture's pixels: x, y, and how visible where the model says so."""
    table = found.reshape(len(found), *shape).astype(np.float64)
    table[:, :, 0] = np.clip((table[:, :, 0] - box.left) / box.across, 0, box.width)
    table[:, :, 1] = np.clip((table[:, :, 1] - box.top) / box.down, 0, box.height)
    table = np.nan_to_num(table, nan=0.0, posinf=0.0, neginf=0.0)
    return [
        [[round(x, 2), round(y, 2), *(round(one, 4) for one in more)] for x, y, *more in one] for one in table.tolist()
    ]


def masks(
    coefficients: npt.NDArray[np.float32],
    protos: npt.NDArray[np.floating],
    boxes: npt.NDArray[np.float32],
    box: letterbox.Letterbox,
    input_size: tuple[int, int],
) -> list[dict[str, Any]]:
    """Return each detection's mask; `boxes` are in the picture's pixels, `protos` are one picture's [P, H, W]."""
    shrink = min(1.0, MAX_SIDE / max(box.width, box.height))
    size = max(1, round(box.height * shrink)), max(1, round(box.width * shrink))
    flat = protos.reshape(len(protos), -1).astype(np.float32)
    answers = []
    for row, corners in zip(coefficients, boxes.tolist(), strict=True):
        logits = (row @ flat).reshape(protos.shape[1:])
        left, top, right, bottom = _grid(corners, shrink, size)
        # Where the grid's rectangle lies among the prototypes: through the picture and the letterbox.
        steps = protos.shape[2] / input_size[0], protos.shape[1] / input_size[1]
        across, down = box.across / shrink, box.down / shrink
        place = (
            (left * across + box.left) * steps[0],
            (top * down + box.top) * steps[1],
            (right * across + box.left) * steps[0],
            (bottom * down + box.top) * steps[1],
        )
        part = _sample(logits, place, (right - left, bottom - top))
        answers.append({"size": list(size), "counts": encode(part > 0, left, top, size)})
    return answers


def _grid(corners: list[float], shrink: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box's whole cells, at least one."""
    left, top = min(int(corners[0] * shrink), size[1] - 1), min(int(corners[1] * shrink), size[0] - 1)
    right, bottom = math.ceil(corners[2] * shrink), math.ceil(corners[3] * shrink)
    return left, top, max(left + 1, min(right, size[1])), max(top + 1, min(bottom, size[0]))


def _sample(
    logits: npt.NDArray[np.float32], place: tuple[float, float, float, float], size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    height, width = logits.shape
    left, top = max(0.0, place[0]), max(0.0, place[1])
    right, bottom = min(float(width), place[2]), min(float(height), place[3])
    if right - left <= 0 or bottom - top <= 0:
        return np.zeros((size[1], size[0]), np.float32)
    picture = Image.fromarray(np.ascontiguousarray(np.nan_to_num(logits)))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=(left, top, right, bottom)))


def encode(part: npt.NDArray[np.bool_], left: int, top: int, size: tuple[int, int]) -> list[int]:
    """Return the runs of a mask of `size` (height, width) that is `part` at that place, and 0 around it."""
    height, width = size
    columns = np.zeros((part.shape[1], height), np.bool_)
    columns[:, top : top + part.shape[0]] = part.T
    flat = np.concatenate(([False], columns.reshape(-1), [False]))
    edges = (np.flatnonzero(flat[1:] != flat[:-1]) + left * height).tolist()
    counts = [end - start for start, end in zip([0, *edges], [*edges, width * height], strict=True)]
    return counts if counts[-1] or len(counts) == 1 else counts[:-1]
