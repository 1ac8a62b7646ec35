"""ONNX Runtime's reports to its maker are off before the library is loaded."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import foresail_runtime

PROGRAM = """
import os, sys
import foresail_runtime.engine.session
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")], ids=["by default", "unless asked for"])
def test_nothing_is_reported(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    if given is not None:
        environment["ORT_DISABLE_TELEMETRY"] = given
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [expected]


def test_every_module_that_loads_the_library_lies_in_the_engine() -> None:
    package = pathlib.Path(foresail_runtime.__file__).parent
    loading = [path for path in package.rglob("*.py") if "import onnxruntime" in path.read_text()]
    assert loading
    assert {path.parent.name for path in loading} == {"engine"}
