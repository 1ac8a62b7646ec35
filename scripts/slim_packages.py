"""Take out of an image's virtual environment what a server never imports, and compile the rest.

Run inside an image build, with the environment's own interpreter and the standard library only. What goes is
what the packages themselves keep apart: their test suites, headers for compiling against them, type stubs, and
the parts of ONNX Runtime that convert and quantize models. Everything else stays as its wheel had it.
"""

from __future__ import annotations

import compileall
import pathlib
import py_compile
import shutil
import sys

UNUSED_FOLDERS = (
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/f2py",
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "nvidia/*/include",
    "aiohttp/.hash",
    "aiohttp/_websocket/.hash",
)
UNUSED_FILES = ("**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.c", "**/*.h", "**/*.a")


def main(environment: pathlib.Path) -> None:
    """Slim the environment and leave byte code that is never checked against its source again.

    Checking costs a `stat` a module at every start, and file times do not survive every image builder.
    """
    for packages in environment.glob("lib/python3*/site-packages"):
        for path in [path for pattern in UNUSED_FOLDERS for path in packages.glob(pattern)]:
            shutil.rmtree(path, ignore_errors=True)
        for path in [path for pattern in UNUSED_FILES for path in packages.glob(pattern)]:
            path.unlink(missing_ok=True)
        compiled = compileall.compile_dir(
            packages, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        if not compiled:
            raise SystemExit(f"byte code could not be written for all of {packages}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
