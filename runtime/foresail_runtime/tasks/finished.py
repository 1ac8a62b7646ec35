"""Exports that have done all the work: which outputs hold boxes, scores and classes, and one picture's rows of them.

| outputs | of |
|---|---|
| [K, 7]: number of the picture, x1, y1, x2, y2, class, score | YOLOv7 `--end2end --max-wh` |
| [K, 7] `flat_predictions`: number of the picture, x1, y1, x2, y2, score, class | YOLO-NAS |
| boxes [N, K, 4], scores [N, K], classes [N, K], how many count [N, 1] | EfficientNMS, YOLOv6 `--ort`, YOLO-NAS |
| boxes [K, 4] or [N, K, 4], scores and classes as many | torchvision; RT-DETR |
| boxes and scores [N, K, 5], classes [N, K] | mmdeploy |

Boxes are x1, y1, x2, y2 in pixels of the input; classes apart are whole numbers. Outputs come in any order: they
are told by shape and datatype, and by name where that leaves several. What else there is (masks, say) is left aside.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from foresail_runtime import errors
from foresail_runtime.tasks import pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from foresail_runtime import tensors

    Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

SHAPE: Final = (1, -1, 6)
"""What the rows of a picture amount to: `layouts.Layout.END_TO_END`."""
_COLUMNS: Final = 7
_FLAT: Final = "flat_predictions"
"""How YOLO-NAS calls its rows, behind a prefix; nobody else has scores before classes."""
_YOLO_7: Final = ("images", "output")
"""How its export script calls input and output."""
_DETECTOR_SIDE: Final = 320
"""Classifiers' inputs are smaller, those of YOLOv7 are not."""
_IN_BOXES: Final = 5
"""Columns of boxes that have their score beside them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Numbered:
    """One output with the boxes of all pictures, each with the number of its own."""

    name: str
    columns: tuple[int, ...]
    """Those of x1, y1, x2, y2, score and class."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs to ask the model for."""
        return (self.name,)

    @property
    def a_row_a_picture(self) -> bool:
        """Whether outputs have a row a picture."""
        return False

    def rows(self, arrays: Arrays) -> npt.NDArray[np.floating]:
        """Return the first picture's rows: x1, y1, x2, y2, score, class."""
        array = arrays[self.name]
        found: npt.NDArray[np.floating] = array[array[:, 0] == 0][:, self.columns]
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Apart:
    """Boxes and classes in outputs of their own, by name; so are scores and their number, where there is one."""

    boxes: str
    classes: str
    scores: str | None
    """None: the boxes have a fifth column."""
    count: str | None
    """None: all rows count."""
    a_row_a_picture: bool
    """Whether the first dimension is that of the pictures; without it there is one picture."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs to ask the model for."""
        return tuple(name for name in (self.boxes, self.classes, self.scores, self.count) if name is not None)

    def rows(self, arrays: Arrays) -> npt.NDArray[np.floating]:
        """Return the first picture's rows: x1, y1, x2, y2, score, class.

        Raises:
            ModelFailed: There are not as many scores or classes as boxes.
        """
        first = {name: self._first(arrays[name]) for name in self.outputs if name != self.count}
        boxes, classes = first[self.boxes], first[self.classes]
        scores = boxes[:, 4] if self.scores is None else first[self.scores]
        if not len(boxes) == len(scores) == len(classes):
            raise errors.ModelFailed(f"the outputs differ in their number of boxes: {_shapes(arrays, self.outputs)}")
        end = len(boxes) if self.count is None else max(0, int(arrays[self.count].reshape(-1)[0]))
        parts = (boxes[:, :4], scores[:, np.newaxis], classes[:, np.newaxis])
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")[:end]

    def _first(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array[:1].reshape(-1, *array.shape[2:]) if self.a_row_a_picture else array


Finished: TypeAlias = Numbered | Apart


def find(signature: tensors.Signature) -> Finished | None:
    """Return how the outputs are read; None where they are none of these."""
    return _numbered(signature.outputs) or _apart(signature)


def is_certain(found: Finished, signature: tensors.Signature) -> bool:
    """Tell whether they are a detector's, too: where each row may be a picture's, scores of its classes look alike."""
    (picture,) = signature.inputs
    (rows, *_) = next(spec.shape for spec in signature.outputs if spec.name == found.outputs[0])
    if found.a_row_a_picture or rows != picture.shape[0]:
        return True
    if isinstance(found, Apart):
        return "box" in found.boxes.lower()
    is_yolo_7 = (picture.name, found.name) == _YOLO_7 and min(pixels.sides(picture)) >= _DETECTOR_SIDE
    return _FLAT in found.name or is_yolo_7


def is_float(spec: tensors.TensorSpec) -> bool:
    """Tell whether it may hold boxes or scores."""
    return spec.datatype.name in ("FP32", "FP16")


def _numbered(outputs: tuple[tensors.TensorSpec, ...]) -> Numbered | None:
    if len(outputs) != 1 or outputs[0].shape != (-1, _COLUMNS) or not is_float(outputs[0]):
        return None
    (name, *_) = outputs[0]
    return Numbered(name, (1, 2, 3, 4, 5, 6) if _FLAT in name else (1, 2, 3, 4, 6, 5))


def _apart(signature: tensors.Signature) -> Apart | None:
    floats = [spec for spec in signature.outputs if is_float(spec)]
    whole = [spec for spec in signature.outputs if spec.datatype.name.startswith(("INT", "UINT"))]
    boxes = _boxes(floats)
    if boxes is None:
        return None
    of_pictures = len(boxes.shape) > 2
    counts = [spec for spec in whole if of_pictures and _is_count(spec, boxes)]
    classes = _only((spec for spec in whole if spec not in counts and _are_of(boxes, spec)), "class", "label")
    scores = [spec for spec in floats if _are_of(boxes, spec)]
    score = _only(scores, "score", "conf")
    is_whole = not scores if boxes.shape[-1] == _IN_BOXES else score is not None
    if classes is None or not is_whole or len(counts) > 1 or not (of_pictures or signature.inputs[0].shape[0] <= 1):
        return None
    return Apart(
        boxes.name, classes.name, score and score.name, next((spec.name for spec in counts), None), of_pictures
    )


def _boxes(floats: list[tensors.TensorSpec]) -> tensors.TensorSpec | None:
    """Return [N, K, 4 or 5], else [K, 4 or 5]; of four boxes a picture, scores have the shape of the latter."""
    like = [spec for spec in floats if len(spec.shape) in (2, 3) and spec.shape[-1] in (4, _IN_BOXES)]
    return _only((spec for spec in like if len(spec.shape) == 3), "box") or _only(like, "box")


def _is_count(spec: tensors.TensorSpec, boxes: tensors.TensorSpec) -> bool:
    """Tell whether it is one number a picture; where a picture has one box, the classes are, too."""
    return "num" in spec.name.lower() or (spec.shape[1:] in ((), (1,)) and boxes.shape[1] != 1)


def _are_of(boxes: tensors.TensorSpec, spec: tensors.TensorSpec) -> bool:
    """Tell whether it has a number a box."""
    return len(spec.shape) == len(boxes.shape) - 1 and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(spec.shape, boxes.shape, strict=False)
    )


def _only(specs: Iterable[tensors.TensorSpec], *words: str) -> tensors.TensorSpec | None:
    """Return the only one, of several the only one whose name has one of the words."""
    found = list(specs)
    if len(found) > 1:
        found = [spec for spec in found if any(word in spec.name.lower() for word in words)]
    return found[0] if len(found) == 1 else None


def _shapes(arrays: Arrays, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {list(arrays[name].shape)}" for name in names)
