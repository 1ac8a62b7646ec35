"""What a container would have to compile at each start, since it can't write what it has compiled: nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests import installation
from tests.e2e import models

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

COMPILED = re.compile(r"^# code object from (/\S+\.py)$", re.MULTILINE)
"""What `python -v` says of a module that it had to compile."""


def test_containers_find_all_that_they_import_compiled(foresail: Foresail, namespace: str) -> None:
    models.start(foresail, namespace)
    for place, deployment, module in (
        (namespace, models.NAME, "foresail_runtime.app"),
        (installation.NAMESPACE, "foresail", "foresail_operator.__main__"),
        (installation.NAMESPACE, "foresail-activator", "foresail_activator.__main__"),
    ):
        command = ["python", "-v", "-c", f"import {module}"]
        done = foresail.cluster.execute(["kubectl", "exec", "-n", place, f"deployment/{deployment}", "--", *command])
        assert done.returncode == 0, done.stderr[-1000:]
        assert "foresail" in done.stderr
        assert COMPILED.findall(done.stderr) == []
