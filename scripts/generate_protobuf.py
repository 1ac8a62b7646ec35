"""Part of `make generate`: the Python modules of the runtime's .proto file."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE_FOLDER: Final = "runtime"
PROTO: Final = "foresail_runtime/grpc/oip.proto"


def files(root: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield each made file's path under the root, and its text."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "grpc_tools.protoc", f"-I{root / SOURCE_FOLDER}", f"--python_out={folder}"]
        done = subprocess.run(  # noqa: S603  # our own file through a pinned compiler
            [sys.executable, *words, f"--pyi_out={folder}", PROTO], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"protoc refused {PROTO}: {done.stderr.strip()}")
        for path in sorted(pathlib.Path(folder).rglob("*.py*")):
            yield f"{SOURCE_FOLDER}/{path.relative_to(folder)}", path.read_text()
