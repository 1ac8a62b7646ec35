"""Compares a file with what its description says of it: how large it may be, and its sha256."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from pathlib import Path

    from foresail_runtime.contract import ModelDescription

CHUNK_BYTES: Final = 2**20


def of_file(path: Path) -> str:
    """Return `sha256:…` of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def check(found: str, description: ModelDescription) -> None:
    """Compare a digest with the one that is expected; nothing is expected where the description has none.

    Raises:
        ModelUnusable: They differ; the message has both.
    """
    if description.digest is not None and found != description.digest.lower():
        raise errors.ModelUnusable(
            "DigestMismatch",
            f"the model's file has digest {found}, expected {description.digest}: "
            "it was changed or damaged, or the digest is that of another version",
        )


def check_size(size: int, description: ModelDescription) -> None:
    """Compare a file's size with the limit.

    Raises:
        ModelUnusable: It is over the limit.
    """
    if size > description.size_limit_bytes:
        raise errors.ModelUnusable(
            "ModelTooLarge", f"the model's file has {size} bytes, the limit is {description.size_limit_bytes}"
        )
