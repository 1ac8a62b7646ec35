"""`kubectl apply -k deploy` installs what the chart installs by default."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.chart.charts import ALL_GROUPS, ROOT, Helm

HELM_ONLY = {"helm.sh/chart", "app.kubernetes.io/managed-by"}


def without_release_labels(value: Any) -> Any:
    match value:
        case dict():
            return {key: without_release_labels(item) for key, item in value.items() if key not in HELM_ONLY}
        case list():
            return [without_release_labels(item) for item in value]
        case _:
            return value


def key(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def kustomized(folder: str) -> dict[tuple[str, str], Any]:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([str(kubectl), "kustomize", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return {key(item): without_release_labels(item) for item in yaml.safe_load_all(done.stdout)}


def test_kustomize_gives_the_charts_default_install_with_namespace_and_definition(helm: Helm) -> None:
    applied, registered = kustomized("deploy"), kustomized("deploy/metrics-api")
    assert {kind for kind, _ in registered} == {"APIService"}
    assert "APIService" not in {kind for kind, _ in applied}, "kubectl would overwrite another provider's"
    assert applied.pop(("Namespace", "foresail-system"))
    assert applied.pop(("CustomResourceDefinition", "modeldeployments.foresail.dev"))
    assert applied | registered == {
        key(item): without_release_labels(item) for item in helm.template("--set", ALL_GROUPS)
    }


def test_the_page_and_the_folder_say_that_the_namespace_is_fixed() -> None:
    """An overlay's `namespace:` takes this one out of kube-system, where alone the Role is that it binds to."""
    bound = kustomized("deploy")["RoleBinding", "foresail-metrics-api-foresail-system"]
    assert bound["metadata"]["namespace"] == "kube-system"
    for page in ("deploy/kustomization.yaml", "docs/operations.md"):
        assert "`namespace:`" in (ROOT / page).read_text(), page


def test_the_overlay_of_the_operations_page_leaves_no_image_that_is_never_pulled(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (overlay,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Kustomization" in text)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay)
    made = yaml.safe_dump(list(kustomized(str(tmp_path / "overlay")).values()))
    assert "localhost/" not in made
    assert made.count("registry.example.com/platform/") == 6
