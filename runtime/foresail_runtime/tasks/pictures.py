"""The picture tasks by name: what makes a detector or a classifier of a loaded model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from foresail_runtime import logs
from foresail_runtime.tasks import choose, labels

if TYPE_CHECKING:
    import pathlib

    from foresail_runtime import tensors
    from foresail_runtime.tasks import classification, detection

log = logging.getLogger(__name__)


def describe(
    task: str, signature: tensors.Signature, folder: pathlib.Path | None, *, guessed: bool = True
) -> detection.Detector | classification.Classifier | None:
    """Return what serves pictures for a model of this task (one of `choose`'s); None where the task has none.

    `folder` is where the model's file lies: a labels file is looked for there. Where there are no names, they are
    `guessed`. Reads files: call it while loading.

    Raises:
        ModelUnusable: The model does not fit the task; the message says why and what to do.
    """
    if task not in (choose.DETECTION, choose.CLASSIFICATION):
        return None
    # Imported here: Pillow is no use to a model that takes no pictures.
    from foresail_runtime.tasks import classification, detection  # noqa: PLC0415

    names, found = labels.beside(folder), labels.file(folder)
    file = found.name if found is not None else ""
    made = (
        detection.Detector(signature, names, file=file, guessed=guessed)
        if task == choose.DETECTION
        else classification.Classifier(signature, names, guessed=guessed)
    )
    if names and not labels.from_metadata(signature.metadata) and not made.labels.has(names):
        log.warning(
            "the labels file beside the model is not used: its names are of another number of classes",
            extra=logs.fields(file=file),
        )
    return made
