"""What helm prints after an install: commands that a user copies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.chart.charts import CHART, ROOT, Helm

if TYPE_CHECKING:
    import pathlib


def printed(helm: Helm, *words: str) -> str:
    done = helm.run("install", "foresail", CHART, "--namespace", "foresail-system", "--dry-run=client", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


@pytest.fixture
def notes(helm: Helm) -> str:
    return printed(helm)


def read_by_kubectl(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the files that `kubectl apply -f` reads: of a folder, each with such a name."""
    if path.is_file():
        return [path]
    return [file for file in path.iterdir() if file.suffix in {".json", ".yaml", ".yml"}]


def test_all_that_is_applied_is_manifests(notes: str) -> None:
    files = [file for path in re.findall(r"kubectl apply .*-f (\S+)", notes) for file in read_by_kubectl(ROOT / path)]
    assert len(files) >= 2
    kinds = [(file.name, one.get("kind")) for file in files for one in yaml.safe_load_all(file.read_text()) if one]
    assert {kind for _, kind in kinds} == {"ConfigMap", "ModelDeployment", "CustomResourceDefinition"}, kinds


def test_definition_is_upgraded_as_the_operations_page_says(notes: str) -> None:
    (command,) = re.findall(r"kubectl apply .*/crds/", notes)
    page = (ROOT / "docs" / "operations.md").read_text()
    assert command in [line.strip() for line in page.splitlines()]


def test_a_model_is_tried_in_a_namespace_that_is_looked_after(helm: Helm, notes: str) -> None:
    named = printed(helm, "--set", "watchNamespaces={fraud,vision}")
    assert "  kubectl -n fraud apply -f examples/01-fraud-scoring/" in named
    assert "kubectl -n" not in notes
