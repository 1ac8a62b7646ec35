"""What a loaded model is used for: the task that was wished or found, and what serves it."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from foresail_runtime import errors, logs
from foresail_runtime.tasks import choose, labels, pictures, tabular

if TYPE_CHECKING:
    import pathlib

    from foresail_runtime import tensors
    from foresail_runtime.tasks import classification, detection

log = logging.getLogger(__name__)

AUTO: Final = "auto"
"""The task of a model of which nobody says what it is for."""


class Fit(NamedTuple):
    """What a model is used for."""

    task: str
    picture: detection.Detector | classification.Classifier | None
    table: tabular.Table | None


def find(wished: str, signature: tensors.Signature, folder: pathlib.Path | None) -> Fit:
    """Return what serves a model of this task; of `auto`, of the task that it looks like.

    Metadata that nobody vouches for keeps no model from being served: where the task is `auto` and the metadata
    contradicts the model, the names in it are left aside, and where that does not help, too, it takes tensors.

    Raises:
        ModelUnusable: The model does not fit the task; or it says how pictures are prepared for it (`foresail.…`), so
            someone meant it to be used for them, and it can't be.
    """
    if wished != AUTO:
        return _fit(wished, signature, folder)
    try:
        return _fit(choose.task(signature), signature, folder)
    except errors.ModelUnusable as error:
        if any(key.startswith("foresail.") for key in signature.metadata):
            raise
        log.warning(
            "the model's metadata does not fit it: its names are left aside", extra=logs.fields(problem=error.message)
        )
    bare = {key: value for key, value in signature.metadata.items() if key not in (*labels.KEYS, "columns")}
    try:
        rest = dataclasses.replace(signature, metadata=bare)
        return _fit(choose.task(rest), rest, folder, guessed=False)
    except errors.ModelUnusable as error:
        if error.reason == labels.UNREADABLE:  # of the file beside the model, which someone put there
            raise
        log.warning("the model is served as tensors", extra=logs.fields(problem=error.message))
        return Fit(choose.TENSORS, None, None)


def _fit(task: str, signature: tensors.Signature, folder: pathlib.Path | None, *, guessed: bool = True) -> Fit:
    picture = pictures.describe(task, signature, folder, guessed=guessed)
    return Fit(task, picture, tabular.Table(signature) if task == choose.TABULAR else None)
