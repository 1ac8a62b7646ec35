"""Folders in which something is made before it is moved to its place."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder, gone afterwards; those go first that killed makers of the same name have left.

    The caller holds a lock under which nobody else makes something of that name.
    """
    prefix = f".{name}-"
    for left in parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as made:
        yield Path(made)
