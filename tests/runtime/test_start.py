"""What a server imports until it is ready: every module that can wait is a part of each cold start."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def imported() -> set[str]:
    program = "import sys; import foresail_runtime.app; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("module", ["PIL", "prometheus_client", "grpc", "foresail_runtime.repository.download"])
def test_a_server_starts_without(module: str, imported: set[str]) -> None:
    assert "foresail_runtime.web.server" in imported
    assert module not in imported
