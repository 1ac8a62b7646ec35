"""helm, run as a user runs it."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = "charts/foresail"
ALL_GROUPS = "metricsApi.groups={custom.metrics.k8s.io,external.metrics.k8s.io}"
"""What registers the metrics API where helm can't look who has it."""


@dataclasses.dataclass(frozen=True)
class Helm:
    """helm 4, with the project's folder as its own."""

    program: str = str(ROOT / "scripts" / "helm")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run helm to its end; a failure is in the return code."""
        return subprocess.run([self.program, *words], cwd=ROOT, capture_output=True, text=True, check=False)

    def template(self, *words: str) -> list[dict[str, Any]]:
        """Return what helm would install."""
        done = self.run("template", "foresail", CHART, "--namespace", "foresail-system", *words)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
