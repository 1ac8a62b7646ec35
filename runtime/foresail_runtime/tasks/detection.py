"""Detection: a picture into a letterboxed tensor, or a stretched one; its output into boxes in the picture's pixels."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from foresail_runtime import errors, logs, tensors
from foresail_runtime.tasks import (
    doubts,
    finished,
    images,
    labels,
    layouts,
    letterbox,
    options,
    parts,
    pixels,
    suppression,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.room import Budget

log = logging.getLogger(__name__)

SCALING: Final = pixels.Scaling((0.0,), (255.0,), "bilinear")
DEFAULT_SIDE: Final = 640
_STRETCH: Final = "stretch"
_FITS: Final = ("letterbox", _STRETCH)


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A picture on its way through the model."""

    inputs: tuple[tensors.Tensor, ...]
    box: letterbox.Letterbox
    picture: Image.Image | None
    """Upright, in RGB; kept only where it will be drawn on."""

    @property
    def nbytes(self) -> int:
        """What it holds while it waits."""
        kept = 0 if self.picture is None else 3 * self.picture.width * self.picture.height
        return kept + sum(tensor.array.nbytes for tensor in self.inputs)


class Detector:
    """What is known of one loaded detector; made once, used by every request."""

    way: Final = "detect"
    """The last part of the path that its pictures are sent to."""

    def __init__(
        self,
        signature: tensors.Signature,
        names: Mapping[int, str] | None = None,
        *,
        file: str = "",
        guessed: bool = True,
    ) -> None:
        """Read the signature; `names` are the classes of the labels file `file`, used where the metadata has none.

        Where there are no names at all, those that everyone knows are `guessed` by their number.

        Raises:
            ModelUnusable: The model takes no picture, or its output is no layout that is known.
        """
        self._input = pixels.describe(signature, DEFAULT_SIDE, SCALING)
        if signature.metadata.get("task") == "obb":
            raise errors.ModelUnusable(
                "TaskMismatch",
                "the model's metadata says that its boxes are turned (obb), and object-detection's have no angle: "
                "set the task to tensors",
            )
        self._finished = finished.find(signature)
        self._protos = None if self._finished else parts.prototypes(signature)
        shape, names_of_outputs = self._outputs(signature)
        self.outputs: Final[tuple[str, ...]] = names_of_outputs
        """Names of the outputs to ask the model for."""
        own = labels.from_metadata(signature.metadata)
        known, self._head = self._fitting(signature, shape, (own,) if own else (dict(names or {}), {}))
        self._stretch = _is_stretched(signature.metadata)
        self._points = None if self._finished else _points(signature, self._head.class_count)
        self._named_by = "the model's metadata" if own else f"the labels file {file}"
        self._misnamed = False
        """Whether the log has said that they are too few."""
        layout = layouts.choose(shape, self._head)
        self._is_open = layout is None
        if layout is None and own and layouts.choose(shape, self._head.with_classes(None)) is not None:
            raise _misnamed(shape, len(own))
        if layout is None and -1 not in shape[1:]:
            raise _unknown_layout((shape,))
        count = layouts.class_count(layout, shape, self._head) if layout else None
        self.labels: Final = labels.Labels(known or (labels.well_known(count) if guessed else {}), count)

    def _outputs(self, signature: tensors.Signature) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return the shape of what is read, and the outputs that it is made of."""
        if self._finished is not None:
            return finished.SHAPE, self._finished.outputs
        found = _of_three(signature)
        if not found or _are_apart(found):
            raise _unknown_layout(tuple(spec.shape for spec in signature.outputs))
        beside = () if self._protos is None else (self._protos.name,)
        return found[0].shape, (found[0].name, *beside)

    def _fitting(
        self, signature: tensors.Signature, shape: tuple[int, ...], choices: Sequence[Mapping[int, str]]
    ) -> tuple[Mapping[int, str], layouts.Head]:
        """Return the first names whose number makes sense of the output's shape; the first of all where none does.

        A labels file may be that of another model in the same folder: it is then left aside.
        """
        metadata = signature.metadata
        head = (
            layouts.Head(self.size, None, end_to_end=True)
            if self._finished
            else layouts.Head(self.size, None, _extra(signature), _end_to_end(metadata), _is_relative(metadata))
        )
        heads = [(names, head.with_classes(count)) for names in choices for count in labels.counts(names)]
        return next(((names, head) for names, head in heads if layouts.choose(shape, head)), heads[0])

    @property
    def a_row_a_picture(self) -> bool:
        """Whether the outputs have a row a picture; without, pictures can't share a run."""
        return self._finished is None or self._finished.a_row_a_picture

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the model's input."""
        return self._input.width, self._input.height

    def trial(self) -> tensors.Tensor | None:
        """Return a picture of nothing, for a run that tells how outputs are read; None where their shapes told it."""
        return self._input.tensor(Image.new("RGB", self.size)) if self._is_open else None

    @property
    def part(self) -> str | None:
        """What a detection has beside its box: mask, keypoints or nothing."""
        return "mask" if self._protos is not None else "keypoints" if self._points is not None else None

    def read_options(self, query: Mapping[str, str]) -> options.DetectionOptions:
        """Read a request's options; see `options.detection`."""
        return options.detection(query, self.labels, has_masks=self._protos is not None)

    def prepare(
        self,
        data: bytes,
        *,
        keep_picture: bool = False,
        max_pixels: int = images.MAX_PIXELS,
        budget: Budget | None = None,
    ) -> Prepared:
        """Return a picture's bytes as the model's input; see `images.decoded` for what is refused, and the budget."""
        with images.decoded(data, max_pixels, budget) as picture:
            box = letterbox.Letterbox.fit(picture.size, self.size, stretch=self._stretch)
            canvas = box.draw(picture, self.size, images.resampling(self._input.scaling.interpolation))
            return Prepared((self._input.tensor(canvas),), box, picture if keep_picture else None)

    def answer(
        self, prepared: Prepared, outputs: Sequence[tensors.Tensor], wanted: options.DetectionOptions
    ) -> dict[str, Any]:
        """Return `image` and `detections` of the answer, surest first.

        Raises:
            ModelFailed: The model's output is no layout that is known, or holds what none of them does.
        """
        output = self._of_picture({tensor.name: tensor.array for tensor in outputs})
        layout = layouts.choose((1, *output.shape), self._head)
        if layout is None:
            raise errors.ModelFailed(_unknown_layout(((1, *output.shape),)).message)
        if layout is not layouts.Layout.OBJECTNESS:  # of which few rows are looked at
            output = output.astype(np.float32, copy=False)  # numpy has no fast way with halves
        found = layouts.read(output, layout, self._head, wanted.confidence)
        if words := doubts.contradiction(output, layout, self._head, found):
            raise errors.ModelFailed(f"{words}: export it otherwise, or set the task to tensors")
        names = self._names(found)
        found = self._in_pixels(found)
        if wanted.classes is not None:
            chosen = np.isin(found.classes, list(wanted.classes))
            found = found.pick(chosen)
        box = prepared.box
        # Nothing is left of a box that lies in the padding. It suppresses others, but takes no place among the surest.
        most = wanted.top_k + int(np.count_nonzero(~_is_left(box.undo(found.boxes))))
        is_done = layout is layouts.Layout.END_TO_END or self._head.relative
        kept = _surest(found, most) if is_done else found.pick(suppression.keep(found, wanted.iou, most))
        kept = kept._replace(boxes=box.undo(kept.boxes))
        kept = kept.pick(np.flatnonzero(_is_left(kept.boxes))[: wanted.top_k])
        detections = _detections(kept, names)
        for name, values in self._parts(kept, box, outputs, wanted).items():
            for detection, value in zip(detections, values, strict=True):
                detection[name] = value
        return {"image": {"width": box.width, "height": box.height}, "detections": detections}

    def _of_picture(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.floating]:
        """Return the first picture's output, without its batch dimension."""
        if self._finished is not None:
            return self._finished.rows(arrays)
        first: npt.NDArray[np.floating] = arrays[self.outputs[0]][0]
        return first

    def _names(self, found: layouts.Candidates) -> labels.Labels:
        """Return the names of an answer's classes: none where one lies beyond them, since others may be wrong, too.

        Where an output has classes' numbers, nothing else tells how many there are.
        """
        count, most = self._head.class_count, int(found.classes.max(initial=0))
        if count is None or most < count:
            return self.labels
        if not self._misnamed:
            self._misnamed = True
            log.warning(
                "the model gives a class beyond its names: pictures with one are answered by ids; name all, and before "
                "them the background where that is class 0, as torchvision's is",
                extra=logs.fields(class_id=most, names=count, named_by=self._named_by),
            )
        return labels.Labels({})

    def _in_pixels(self, found: layouts.Candidates) -> layouts.Candidates:
        if self._head.relative:
            return found._replace(boxes=found.boxes * np.array([*self.size, *self.size], dtype=np.float32))
        return found

    def _parts(
        self,
        found: layouts.Candidates,
        box: letterbox.Letterbox,
        outputs: Sequence[tensors.Tensor],
        wanted: options.DetectionOptions,
    ) -> Mapping[str, Sequence[Any]]:
        if self._protos is not None and wanted.masks == "rle":
            protos = next(tensor.array for tensor in outputs if tensor.name == self.outputs[1])
            return {"mask": parts.masks(found.extras, protos[0], found.boxes, box, self.size)}
        if self._points is not None:
            return {"keypoints": parts.points(found.extras, self._points, box)}
        return {}


def fits(signature: tensors.Signature) -> bool:
    """Tell whether the outputs look like a detector's; of the input, whether it has colours and a batch dimension."""
    done = finished.find(signature)
    if done is not None:
        return finished.is_certain(done, signature)
    found = _of_three(signature)
    if len(found) != 1:  # boxes and scores apart are DETR's, and others' that nobody here can read
        return False
    (spec,), (picture, *_) = found, signature.inputs
    if spec.shape[0] not in (-1, 1, picture.shape[0]):
        return False
    is_said = "names" in signature.metadata or "stride" in signature.metadata
    is_open = is_said and spec.shape[1:] == (-1, -1)
    has_six = spec.shape[1] < 0 and spec.shape[2] == 6
    if (is_open or has_six) and 3 in (picture.shape[1], picture.shape[3]):
        return True
    height, width = (max(0, side) for side in pixels.sides(picture))
    head = layouts.Head((width, height), None, _extra(signature))
    layout = layouts.choose(spec.shape, head)
    return layout is not None and (is_said or layouts.is_likely(spec.shape, layout, head))


def _of_three(signature: tensors.Signature) -> list[tensors.TensorSpec]:
    return [spec for spec in signature.outputs if len(spec.shape) == 3 and finished.is_float(spec)]


def _are_apart(found: Sequence[tensors.TensorSpec]) -> bool:
    """Tell whether boxes are an output of their own, [N, K, 4], beside one of scores."""
    return len(found) > 1 and any(spec.shape[2] == 4 for spec in found)


def _detections(found: layouts.Candidates, names: labels.Labels) -> list[dict[str, Any]]:
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    return [
        {
            "class_id": class_id,
            "class_name": names.name(class_id),
            "confidence": round(score, 4),
            "box": [round(side, 2) for side in box],
        }
        for box, score, class_id in rows
    ]


def _is_left(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Tell of clipped boxes which have an area."""
    left: npt.NDArray[np.bool_] = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return left


def _surest(found: layouts.Candidates, most: int) -> layouts.Candidates:
    return found.pick(np.argsort(-found.scores, kind="stable")[:most])


def _points(signature: tensors.Signature, class_count: int | None) -> tuple[int, int] | None:
    """Return the shape of a pose's key points; where the export does not say it, what one class leaves is theirs."""
    found = _of_three(signature)
    beside = None if not found or found[0].shape[1] < 0 else found[0].shape[1] - 4 - (class_count or 1)
    return parts.point_shape(signature.metadata, beside)


def _extra(signature: tensors.Signature) -> int:
    """Return how many mask coefficients or key point numbers follow the scores."""
    protos = parts.prototypes(signature)
    if protos is not None:
        return protos.shape[1]
    points = _points(signature, len(labels.from_metadata(signature.metadata)) or None)
    return math.prod(points) if points else 0


def _end_to_end(metadata: Mapping[str, str]) -> bool:
    return metadata.get("end2end", "").lower() == "true" or "'nms': True" in metadata.get("args", "")


def _is_relative(metadata: Mapping[str, str]) -> bool:
    return "rt-detr" in metadata.get("description", "").lower().replace("rtdetr", "rt-detr")


def _is_stretched(metadata: Mapping[str, str]) -> bool:
    """Tell whether pictures fill the input, whatever their shape: what the metadata says, else what Ultralytics does.

    Its RT-DETR is trained and used so, its others are not.
    """
    name = metadata.get("foresail.fit", "").strip().lower()
    if name and name not in _FITS:
        raise errors.ModelUnusable(
            "TaskMismatch", f"the model's metadata foresail.fit is {name!r}: one of {', '.join(_FITS)}"
        )
    return name == _STRETCH if name else _is_relative(metadata)


def _misnamed(shape: tuple[int, ...], named: int) -> errors.ModelUnusable:
    return errors.ModelUnusable(
        "TaskMismatch",
        f"the model's metadata names {named} classes, and its output {list(shape)} is of another number: write all of "
        "them into `names`, or leave it out",
    )


def _unknown_layout(shapes: tuple[tuple[int, ...], ...]) -> errors.ModelUnusable:
    return errors.ModelUnusable(
        "TaskMismatch",
        f"object-detection needs an output of shape [N, 4 + classes, anchors], [N, anchors, 5 + classes] or "
        f"[N, boxes, 6], or boxes, scores and classes apart, the latter of whole numbers; this model's are "
        f"{', '.join(str(list(shape)) for shape in shapes)}: "
        "export it in one of these layouts, or set the task to tensors",
    )
