"""What the chart renders, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.chart.charts import CHART, ROOT, Helm

GOLDEN = ROOT / "tests" / "chart" / "golden"
CASES = sorted(path.name.removesuffix(".values.yaml") for path in GOLDEN.glob("*.values.yaml"))


def kinds(manifests: list[dict[str, Any]]) -> list[str]:
    return sorted(manifest["kind"] for manifest in manifests)


def one(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def test_lint_finds_nothing(helm: Helm) -> None:
    done = helm.run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_rendered_manifests_are_the_golden_ones(helm: Helm, case: str) -> None:
    golden = [manifest for manifest in yaml.safe_load_all((GOLDEN / f"{case}.yaml").read_text()) if manifest]
    assert helm.template("--values", str(GOLDEN / f"{case}.values.yaml")) == golden


def test_operator_pod_is_what_pod_security_restricted_asks_for(helm: Helm) -> None:
    pod = one(helm.template(), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_named_namespaces_grant_nothing_cluster_wide(helm: Helm) -> None:
    manifests = helm.template("--set", "watchNamespaces={fraud,vision}")
    assert not [kind for kind in kinds(manifests) if kind.startswith("Cluster")]
    roles = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in manifests if item["kind"] == "Role"}
    assert roles == {
        ("fraud", "foresail-models"),
        ("vision", "foresail-models"),
        ("foresail-system", "foresail-leader"),
    }


def test_both_modes_grant_the_same_rights_on_models(helm: Helm) -> None:
    everywhere = next(
        item for item in helm.template() if item["metadata"]["name"] == "foresail-models" and "rules" in item
    )
    here = next(
        item
        for item in helm.template("--set", "watchNamespaces={fraud}")
        if item["metadata"]["name"] == "foresail-models" and "rules" in item
    )
    looked_up = {"customresourcedefinitions", "namespaces"}
    assert [rule for rule in everywhere["rules"] if not looked_up & set(rule["resources"])] == here["rules"]


def test_no_role_has_a_wildcard_or_touches_secrets(helm: Helm) -> None:
    for manifest in helm.template():
        for rule in manifest.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


def test_single_replica_has_no_budget_that_would_block_a_drain(helm: Helm) -> None:
    assert "PodDisruptionBudget" not in kinds(helm.template())
    assert one(helm.template("--set", "replicas=2"), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_variants_of_the_runtime_image_differ_by_suffix_unless_given_whole(helm: Helm) -> None:
    manifests = helm.template("--set", "runtime.image.tag=v9", "--set", "runtime.images.gpu=example.com/mine:1")
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    values = {item["name"]: item.get("value") for item in container["env"]}
    assert values["FORESAIL_RUNTIME_IMAGE"] == "localhost/foresail-runtime:v9"
    assert values["FORESAIL_RUNTIME_IMAGE_OPENVINO"] == "localhost/foresail-runtime:v9-openvino"
    assert values["FORESAIL_RUNTIME_IMAGE_GPU"] == "example.com/mine:1"


def test_chart_carries_the_generated_definition() -> None:
    generated = (ROOT / "crds" / "foresail.dev_modeldeployments.yaml").read_text()
    assert (ROOT / CHART / "crds" / "foresail.dev_modeldeployments.yaml").read_text() == generated
