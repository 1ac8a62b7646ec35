"""Finds the reference of a model that is being loaded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors
from foresail_runtime.drift import features, reference, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foresail_runtime.settings import Settings
    from foresail_runtime.tensors import Signature

FILE: Final = "drift-reference.json"
"""Looked for beside the model where no setting names another."""
MAX_BYTES: Final = 64 * 2**20


def attach(
    folder: Path, signature: Signature, outputs: Sequence[str], columns: Sequence[str], settings: Settings
) -> watch.Watch | None:
    """Return what watches a model in that folder; None where it has no reference. Reads a file.

    Raises:
        ModelUnusable: There is a reference, and it can't be read or is another model's.
    """
    path = Path(settings.drift_reference) if settings.drift_reference else folder / FILE
    if not settings.drift_reference and not path.is_file():
        return None
    known = reference.Reference.decode(_read(path))
    views = features.views(signature, outputs, columns)
    ours = {(view.side, name) for view in views for name in view.names}
    if not ours & {(feature.side, feature.name) for feature in known.features}:
        names = ", ".join(sorted({feature.name for feature in known.features})[:5])
        raise errors.ModelUnusable(
            reference.REASON, f"the drift reference {path.name} is of another model: this one has none of {names}"
        )
    return watch.Watch(
        known, views, time.perf_counter, window_seconds=settings.drift_window_seconds, cost=settings.drift_cost
    )


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise errors.ModelUnusable(reference.REASON, f"the drift reference {path.name} is over {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ModelUnusable(
            reference.REASON, f"the drift reference {path} can't be read ({error}): make it with foresail reference"
        ) from error
