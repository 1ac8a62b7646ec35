"""Which task a model is for, told from what it takes and gives where nobody says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_runtime.tasks import pixels, tabular

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime import tensors

TENSORS: Final = "tensors"
CLASSIFICATION: Final = "image-classification"
DETECTION: Final = "object-detection"
TABULAR: Final = "tabular"

_BY_METADATA: Final[Mapping[str, str]] = {
    "detect": DETECTION,
    "segment": DETECTION,
    "pose": DETECTION,
    "classify": CLASSIFICATION,
    "obb": TENSORS,  # turned boxes have an angle that this answer has no place for
}


def task(signature: tensors.Signature) -> str:
    """Return the task a signature looks like.

    One input that a picture fits makes a picture task: by the metadata's `task` if it has one, else by the outputs
    (one [N, a, b], or boxes, scores and classes apart: a detector; [N, classes]: a classifier). Inputs that are
    columns, each [N, 1] or [N] with a name of its own, or columns named in the metadata, make a table. All else is
    tensors.
    """
    if pixels.picture_spec(signature) is not None:
        return _picture_task(signature)
    columns = len(signature.inputs) > 1 and all(map(tabular.is_column, signature.inputs))
    return TABULAR if columns or "columns" in signature.metadata else TENSORS


def _picture_task(signature: tensors.Signature) -> str:
    # Imported here: Pillow is no use to a model that takes no pictures.
    from foresail_runtime.tasks import classification, detection  # noqa: PLC0415

    said = _BY_METADATA.get(signature.metadata.get("task", ""))
    if said is not None:
        return said
    if detection.fits(signature):
        return DETECTION
    scores = classification.output_spec(signature)
    if len(signature.outputs) == 1 and scores is not None and _is_of_each_picture(scores, signature):
        return CLASSIFICATION
    return TENSORS


def _is_of_each_picture(scores: tensors.TensorSpec, signature: tensors.Signature) -> bool:
    """Tell whether the output has a row a picture: any number of them for a fixed number of pictures are no scores."""
    return not scores.shape[0] < 0 < signature.inputs[0].shape[0]
