"""The termination message: why a pod's process ended, for the kubelet to read and the operator to pass on.

Native code that crashes, and the kernel that ends a process for its memory, leave no time for last words. So they
are written beforehand, and taken back at an ordinary end.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from foresail_runtime import contract, logs

if TYPE_CHECKING:
    from foresail_runtime import errors

log = logging.getLogger(__name__)


def foretell(path: str | None, model: str) -> None:
    """Leave what will be true if the process ends without a word; None: nobody reads it."""
    _leave(
        path,
        contract.Termination(
            "ModelCrashed",
            f"the process ended without a word while it loaded or ran model {model!r}: a crash in native code, "
            "an end by the kernel for want of memory, or a liveness probe that had no answer",
            model,
        ).encode(),
    )


def write(path: str | None, failure: errors.ModelUnusable, model: str | None) -> None:
    """Leave the reason of the end."""
    _leave(path, contract.Termination(failure.reason, failure.message, model).encode())


def forget(path: str | None) -> None:
    """Take back what was left: the end is an ordinary one."""
    _leave(path, "")


def _leave(path: str | None, text: str) -> None:
    if path is None:
        return
    try:
        Path(path).write_text(text)
    except OSError as error:
        log.warning("can't write the termination message", extra=logs.fields(path=path, error=error))
