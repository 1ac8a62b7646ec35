"""helm, run as a user runs it."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
from typing import Any

import yaml

from foresail_testbed import build, programs

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = "charts/foresail"
ALL_GROUPS = "metricsApi.groups={custom.metrics.k8s.io,external.metrics.k8s.io}"
"""What registers the metrics API where helm can't look who has it."""


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, as kustomize and Flux do; helm itself lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        assert not twice, f"keys {twice} are there twice: {node.start_mark}"
        return super().construct_mapping(node, deep)


@dataclasses.dataclass(frozen=True)
class Helm:
    """helm 4, with the project's folder as its own; `scripts/helm` looks for it anew each time, and takes as long."""

    program: str = dataclasses.field(default_factory=lambda: str(build.ensure(programs.HELM) / "helm"))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run helm to its end; a failure is in the return code."""
        return subprocess.run([self.program, *words], cwd=ROOT, capture_output=True, text=True, check=False)

    def template(
        self, *words: str, release: str = "foresail", namespace: str = "foresail-system"
    ) -> list[dict[str, Any]]:
        """Return what helm would install."""
        done = self.run("template", release, CHART, "--namespace", namespace, *words)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.load_all(done.stdout, StrictLoader) if manifest]
