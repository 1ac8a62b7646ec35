"""What a server imports until it is ready: every module that can wait is a part of each cold start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(program: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.fixture(scope="module")
def imported() -> set[str]:
    return set(run("import sys; import foresail_runtime.app; print(*sys.modules)").split())


@pytest.mark.parametrize("module", ["PIL", "prometheus_client", "grpc", "foresail_runtime.repository.download"])
def test_a_server_starts_without(module: str, imported: set[str]) -> None:
    assert "foresail_runtime.web.server" in imported
    assert module not in imported


def test_numpy_has_no_threads_that_spin_while_the_server_starts() -> None:
    program = (
        "import os; import foresail_runtime.__main__, foresail_runtime.app; print(len(os.listdir('/proc/self/task')))"
    )
    assert run(program) == "1\n"
