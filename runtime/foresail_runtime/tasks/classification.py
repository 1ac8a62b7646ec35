"""Classification: the middle of a picture into a tensor, a classifier's output into its surest classes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import images, labels, options, pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.room import Budget

SCALING: Final = pixels.Scaling((127.0,), (128.0,), "bicubic")
CROP: Final = 0.875
DEFAULT_SIDE: Final = 224
_ULTRALYTICS: Final = pixels.Scaling((0.0,), (255.0,), "bilinear")
_SLACK: Final = 0.01
"""By so much a probability may be over 1, and the sum of two beside it: rounding, and quantisation."""
_PAIR: Final = 2
_ACTIVATIONS: Final = ("none", "softmax", "sigmoid")


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A picture on its way through the model."""

    inputs: tuple[tensors.Tensor, ...]
    width: int
    height: int

    @property
    def nbytes(self) -> int:
        """What it holds while it waits."""
        return sum(tensor.array.nbytes for tensor in self.inputs)


class Classifier:
    """What is known of one loaded classifier; made once, used by every request, never changed."""

    way: Final = "classify"
    """The last part of the path that its pictures are sent to."""
    a_row_a_picture: Final = True
    """Its scores have."""

    def __init__(
        self, signature: tensors.Signature, names: Mapping[int, str] | None = None, *, guessed: bool = True
    ) -> None:
        """Read the signature; `names` are the classes of a labels file, used where the metadata has none.

        Where there are no names at all, those that everyone knows are `guessed` by their number.

        Raises:
            ModelUnusable: The model takes no picture, or gives no scores.
        """
        metadata = signature.metadata
        ultralytics = metadata.get("author") == "Ultralytics"
        self._input = pixels.describe(signature, DEFAULT_SIDE, _ULTRALYTICS if ultralytics else SCALING)
        self._crop = _crop(metadata, 1.0 if ultralytics else CROP)
        self._activation = _activation(metadata)
        spec = output_spec(signature)
        if spec is None:
            raise errors.ModelUnusable(
                "TaskMismatch",
                "image-classification needs an output of shape [N, classes]; this model's are "
                f"{', '.join(str(list(spec.shape)) for spec in signature.outputs)}: set the task to tensors",
            )
        self.outputs: Final = (spec.name,)
        """Names of the outputs to ask the model for."""
        count = spec.shape[1]
        beside = dict(names or {})
        if 0 < count <= max(beside, default=-1):
            beside = {}  # more names than classes: the labels file of another model in the same folder
        guess = labels.well_known(count) if guessed else {}
        self.labels: Final = labels.Labels(labels.from_metadata(metadata) or beside or guess, count)

    def trial(self) -> None:
        """Return nothing to try: however many classes a run shows, scores are read alike."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the model's input."""
        return self._input.width, self._input.height

    def read_options(self, query: Mapping[str, str]) -> options.ClassificationOptions:
        """Read a request's options; see `options.classification`."""
        return options.classification(query, self.labels)

    def prepare(self, data: bytes, *, max_pixels: int = images.MAX_PIXELS, budget: Budget | None = None) -> Prepared:
        """Return a picture's bytes as the model's input; see `images.decoded` for what is refused, and the budget."""
        with images.decoded(data, max_pixels, budget) as picture:
            width, height = picture.size
            # Cut first: resize's own `box` lets the filter look at pixels beside it.
            resampling = images.resampling(self._input.scaling.interpolation)
            scaled = picture.crop(self._window(width, height)).resize(self.size, resampling)
            return Prepared((self._input.tensor(scaled),), width, height)

    def answer(
        self, prepared: Prepared, outputs: Sequence[tensors.Tensor], wanted: options.ClassificationOptions
    ) -> dict[str, Any]:
        """Return `image` and `classes` of the answer, surest first.

        Raises:
            ModelFailed: The model gave no scores.
        """
        array = next(tensor.array for tensor in outputs if tensor.name == self.outputs[0])
        if len(array) > len(prepared.inputs[0].array):
            raise errors.ModelFailed(
                f"output {self.outputs[0]!r} has {len(array)} rows for a picture, and so none of scores: if they are "
                "boxes, as YOLOv7's, set the model's task to object-detection, else to tensors"
            )
        if not array.size:
            raise errors.ModelFailed(
                f"output {self.outputs[0]!r} has the shape {list(array.shape)}, which holds no scores for a picture: "
                "set the model's task to tensors"
            )
        scores = confidences(array[0].reshape(-1).astype(np.float32), self._activation)
        order = np.argsort(-scores, kind="stable")
        chosen = [
            int(class_id)
            for class_id in order
            if scores[class_id] >= wanted.confidence and (wanted.classes is None or int(class_id) in wanted.classes)
        ]
        return {
            "image": {"width": prepared.width, "height": prepared.height},
            "classes": [
                {
                    "class_id": number,
                    "class_name": self.labels.name(number),
                    "confidence": round(float(scores[number]), 4),
                }
                for number in chosen[: wanted.top_k]
            ],
        }

    def _window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the middle part of the picture, of the shape that the input has.

        In whole pixels, rounded down, as training pipelines cut it: half a pixel beside theirs moves the confidence
        of a small picture by several hundredths.
        """
        across, down = self.size
        inner = (
            max(1, int(self._crop * min(width, height * across / down))),
            max(1, int(self._crop * min(height, width * down / across))),
        )
        left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
        return left, top, left + inner[0], top + inner[1]


def output_spec(signature: tensors.Signature) -> tensors.TensorSpec | None:
    """Return the output that scores classes: the first [N, C] or [N, C, 1, 1] of floats; None if there is none."""
    return next((spec for spec in signature.outputs if _is_scores(spec)), None)


def confidences(scores: npt.NDArray[np.float32], activation: str | None) -> npt.NDArray[np.float32]:
    """Return confidences from 0 to 1; without an activation, scores that are no probabilities get a softmax."""
    finite = np.nan_to_num(scores, nan=-np.inf)
    if activation is None:
        activation = "none" if _are_probabilities(finite) else "softmax"
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(finite, -80, 80))), dtype=np.float32)
    if activation == "none" or not np.isfinite(finite.max()):
        return np.nan_to_num(scores, nan=0, posinf=0, neginf=0)
    powers = np.exp(finite - finite.max())
    return np.asarray(powers / powers.sum(), dtype=np.float32)


def _are_probabilities(scores: npt.NDArray[np.float32]) -> bool:
    """Tell whether scores have been through a softmax, or through a sigmoid each: a picture may be of several classes.

    Two scores from 0 to 1 are more often those of a picture that is hard to tell, before their softmax.
    """
    if scores.min() < 0 or scores.max() > 1 + _SLACK:
        return False
    return scores.size > _PAIR or abs(float(scores.sum()) - 1) < _SLACK


def _is_scores(spec: tensors.TensorSpec) -> bool:
    floats = spec.datatype.name in ("FP32", "FP16", "FP64")
    shape = spec.shape
    return floats and len(shape) in (2, 4) and shape[1] != 1 and all(side == 1 for side in shape[2:])


def _crop(metadata: Mapping[str, str], default: float) -> float:
    crop = (pixels.numbers(metadata, "foresail.crop") or (default,))[0]
    if not 0 < crop <= 1:
        raise errors.ModelUnusable(
            "TaskMismatch", f"the model's metadata foresail.crop is {crop}: write a number over 0, up to 1"
        )
    return crop


def _activation(metadata: Mapping[str, str]) -> str | None:
    name = metadata.get("foresail.activation", "").strip().lower()
    if name and name not in _ACTIVATIONS:
        raise errors.ModelUnusable(
            "TaskMismatch", f"the model's metadata foresail.activation is {name!r}: one of {', '.join(_ACTIVATIONS)}"
        )
    return name or None
