"""The chart against a real API server: what it installs is accepted, upgraded and taken away again."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.charts import CHART, ROOT, Helm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foresail_testbed import access

pytestmark = pytest.mark.cluster

DEFINITION = ROOT / CHART / "crds" / "foresail.dev_modeldeployments.yaml"
OURS = "clusterrole,clusterrolebinding,role,rolebinding,deployment,service,serviceaccount,secret,apiservice"
MODEL = """
apiVersion: foresail.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud-scoring}
spec: {model: {uri: "https://models.example.com/fraud.onnx"}}
"""


@pytest.fixture
def release(control_plane: access.Access, namespace: str, helm: Helm) -> Iterator[str]:
    """A release of the chart's present state in a namespace of its own; gives the namespace."""
    run(control_plane, helm, "install", "foresail", str(ROOT / CHART), "-n", namespace)
    yield namespace
    control_plane.execute([helm.program, "uninstall", "foresail", "-n", namespace, "--ignore-not-found"])


def run(where: access.Access, helm: Helm, *words: str) -> str:
    done = where.execute([helm.program, *words])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_install_says_what_to_try_and_upgrade_changes_what_was_set(
    control_plane: access.Access, release: str, helm: Helm
) -> None:
    notes = run(control_plane, helm, "get", "notes", "foresail", "-n", release)
    assert "kubectl apply -f examples/01-fraud-scoring/fraud-scoring.yaml" in notes
    run(control_plane, helm, "upgrade", "foresail", str(ROOT / CHART), "-n", release, "--set", "replicas=2")
    assert control_plane.get("deployment", "foresail", "-n", release)["spec"]["replicas"] == 2
    assert control_plane.get("poddisruptionbudget", "foresail", "-n", release)["spec"]["maxUnavailable"] == 1


def test_uninstall_leaves_models_and_their_definition_and_nothing_else(
    control_plane: access.Access, release: str, helm: Helm
) -> None:
    control_plane.kubectl("apply", "-n", release, "-f", "-", stdin=MODEL)
    run(control_plane, helm, "uninstall", "foresail", "-n", release)
    left = control_plane.kubectl(
        "get", OURS, "-A", "-o", "name",
        "-l", "app.kubernetes.io/part-of=foresail",
    )  # fmt: skip
    assert left == ""
    assert control_plane.get("mdep", "fraud-scoring", "-n", release)["kind"] == "ModelDeployment"


def test_another_providers_metrics_api_is_left_alone_with_its_whole_group(
    control_plane: access.Access, namespace: str, helm: Helm
) -> None:
    theirs = yaml.safe_dump(
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.custom.metrics.k8s.io"},
            "spec": {
                "group": "custom.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"namespace": namespace, "name": "prometheus-adapter"},
            },
        }
    )
    control_plane.kubectl("apply", "-f", "-", stdin=theirs)
    try:
        run(control_plane, helm, "install", "foresail", str(ROOT / CHART), "-n", namespace)
        ours = control_plane.kubectl("get", "apiservice", "-o", "name", "-l", "app.kubernetes.io/part-of=foresail")
        assert ours.split() == ["apiservice.apiregistration.k8s.io/v1beta1.external.metrics.k8s.io"]
        run(control_plane, helm, "uninstall", "foresail", "-n", namespace)
        left = control_plane.get("apiservice", "v1beta1.custom.metrics.k8s.io")
        assert left["spec"]["service"]["name"] == "prometheus-adapter"
    finally:
        control_plane.execute([helm.program, "uninstall", "foresail", "-n", namespace, "--ignore-not-found"])
        control_plane.kubectl("delete", "apiservice", "v1beta1.custom.metrics.k8s.io")


def test_namespace_of_a_model_can_be_deleted_with_no_operator_there(
    control_plane: access.Access, namespace: str
) -> None:
    control_plane.kubectl("apply", "--server-side", "-f", str(DEFINITION))
    control_plane.kubectl("create", "namespace", f"{namespace}-gone")
    control_plane.kubectl("apply", "-n", f"{namespace}-gone", "-f", "-", stdin=MODEL)
    control_plane.kubectl("delete", "namespace", f"{namespace}-gone", "--timeout=60s")


def test_definition_is_upgraded_by_server_side_apply_and_models_stay(
    control_plane: access.Access, namespace: str
) -> None:
    newer = yaml.safe_load(DEFINITION.read_text())
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(older(newer)))
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=MODEL)
    before = control_plane.get("mdep", "fraud-scoring", "-n", namespace)
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEFINITION))
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/{newer['metadata']['name']}", "--timeout=30s")
    after = control_plane.get("mdep", "fraud-scoring", "-n", namespace)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    patch = '{"spec":{"runtime":{"version":"0.1.0"}}}'
    control_plane.kubectl("patch", "mdep", "fraud-scoring", "-n", namespace, "--type=merge", "-p", patch)
    assert control_plane.get("mdep", "fraud-scoring", "-n", namespace)["spec"]["runtime"] == {"version": "0.1.0"}


def older(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition as a release before spec.runtime would have had it."""
    found = copy.deepcopy(definition)
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["runtime"]
    return found


def test_kustomize_installs_and_takes_away(control_plane: access.Access) -> None:
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "deploy"))
    assert control_plane.get("deployment", "foresail", "-n", "foresail-system")["spec"]["replicas"] == 1
    control_plane.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/metrics-api"))
    for manifests in ("metrics-api/apiservices.yaml", "foresail.yaml", "namespace.yaml"):
        control_plane.kubectl("delete", "-f", str(ROOT / "deploy" / manifests), "--timeout=60s")


def test_single_namespace_install_needs_no_right_on_the_cluster(
    control_plane: access.Access, namespace: str, helm: Helm
) -> None:
    words = ("template", "foresail", str(ROOT / CHART), "-n", namespace, "--set", f"watchNamespaces={{{namespace}}}")
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=run(control_plane, helm, *words))
    operator = f"system:serviceaccount:{namespace}:foresail"
    may = {
        "here": allowed(control_plane, operator, "-n", namespace),
        "elsewhere": allowed(control_plane, operator, "-n", "default"),
    }
    assert may == {"here": True, "elsewhere": False}


def allowed(where: access.Access, user: str, *words: str) -> bool:
    done = where.execute(["kubectl", "auth", "can-i", "patch", "deployments.apps", "--as", user, *words])
    return done.stdout.strip() == "yes"
