"""What the chart renders, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from foresail_operator.scaling import documents, registration
from tests.chart.charts import ALL_GROUPS, CHART, ROOT, Helm

GOLDEN = ROOT / "tests" / "chart" / "golden"
METRICS = tuple(documents.NAMES.values())
CASES = sorted(path.name.removesuffix(".values.yaml") for path in GOLDEN.glob("*.values.yaml"))


def kinds(manifests: list[dict[str, Any]]) -> list[str]:
    return sorted(manifest["kind"] for manifest in manifests)


def one(manifests: list[dict[str, Any]], kind: str, component: str = "foresail-operator") -> dict[str, Any]:
    (found,) = (manifest for manifest in of(manifests, component) if manifest["kind"] == kind)
    return found


def of(manifests: list[dict[str, Any]], component: str) -> list[dict[str, Any]]:
    """Return what belongs to the operator or to the activator."""
    return [one for one in manifests if one["metadata"]["labels"]["app.kubernetes.io/name"] == component]


def test_lint_finds_nothing(helm: Helm) -> None:
    done = helm.run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_rendered_manifests_are_the_golden_ones(helm: Helm, case: str) -> None:
    golden = [manifest for manifest in yaml.safe_load_all((GOLDEN / f"{case}.yaml").read_text()) if manifest]
    assert helm.template("--values", str(GOLDEN / f"{case}.values.yaml")) == golden


@pytest.mark.parametrize("component", ["foresail-operator", "foresail-activator"])
def test_pods_are_what_pod_security_restricted_asks_for(helm: Helm, component: str) -> None:
    pod = one(helm.template(), "Deployment", component)["spec"]["template"]["spec"]
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
        ("foresail-system", "foresail-activator"),
        ("foresail-system", "foresail-activator-wake"),
        ("fraud", "foresail-activator-models"),
        ("vision", "foresail-activator-models"),
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
    assert everywhere["rules"] == here["rules"]


def test_no_role_has_a_wildcard_or_touches_secrets_but_its_own(helm: Helm) -> None:
    for manifest in helm.template():
        for rule in manifest.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "secrets" in rule["resources"]:
                assert (manifest["kind"], rule["resourceNames"]) == ("Role", ["foresail-metrics-api-tls"])
                assert rule["verbs"] == ["get", "update"]


def test_autoscalers_may_read_every_metric_that_the_operator_serves(helm: Helm) -> None:
    reader = next(
        item
        for item in helm.template()
        if item["kind"] == "ClusterRole" and item["metadata"]["name"] == "foresail-metrics-api-reader"
    )
    served = [(group, f"{documents.RESOURCE}/{name}") for group in [documents.CUSTOM_GROUP] for name in METRICS]
    served += [(documents.EXTERNAL_GROUP, documents.EXTERNAL_PREFIX + name) for name in METRICS]
    assert [(rule["apiGroups"][0], name) for rule in reader["rules"] for name in rule["resources"]] == served


def test_api_services_lead_to_the_metrics_api_and_go_when_it_is_off(helm: Helm) -> None:
    manifests = helm.template("--set", ALL_GROUPS)
    found = {item["metadata"]["name"]: item["spec"] for item in manifests if item["kind"] == "APIService"}
    assert set(found) == set(registration.API_SERVICES)
    assert {spec["service"]["name"] for spec in found.values()} == {"foresail-metrics-api"}
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"name": "FORESAIL_METRICS_SERVICE", "value": "foresail-metrics-api"} in container["env"]
    without = helm.template("--set", "metricsApi.create=false")
    assert not [item for item in without if "metrics-api" in item["metadata"]["name"] or item["kind"] == "APIService"]


def test_what_renders_without_a_look_at_the_cluster_takes_nobodys_metrics_api(helm: Helm) -> None:
    assert "APIService" not in kinds(helm.template())
    named = helm.template("--set", f"metricsApi.groups={{{documents.EXTERNAL_GROUP}}}")
    assert [item["spec"]["group"] for item in named if item["kind"] == "APIService"] == [documents.EXTERNAL_GROUP]


def test_single_replica_has_no_budget_that_would_block_a_drain(helm: Helm) -> None:
    assert "PodDisruptionBudget" not in kinds(of(helm.template(), "foresail-operator"))
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


def test_the_activator_may_read_slices_and_write_one_object(helm: Helm) -> None:
    manifests = of(helm.template(), "foresail-activator")
    assert one(manifests, "ClusterRole", "foresail-activator")["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    ]
    assert one(manifests, "Role", "foresail-activator")["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["foresail-wake"], "verbs": ["patch"]}
    ]


def test_an_install_without_activator_has_nothing_of_it(helm: Helm) -> None:
    manifests = helm.template("--set", "activator.create=false")
    assert not of(manifests, "foresail-activator")
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert not [variable for variable in container["env"] if "ACTIVATOR" in variable["name"]]


def environment(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the variables of the operator's container."""
    (container,) = one(manifests, "Deployment", "foresail-operator")["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value") for item in container["env"]}


@pytest.mark.parametrize("release", ["foresail", "fraud"])
def test_each_release_has_a_lease_of_its_own(helm: Helm, release: str) -> None:
    """And may still write the one of before, by which its old pods lead until the upgrade's are there."""
    manifests = helm.template(release=release)
    assert environment(manifests)["FORESAIL_LEASE_NAME"] == f"{release}-operator"
    (role,) = (item for item in manifests if item["metadata"]["name"] == f"{release}-leader" and item["kind"] == "Role")
    allowed = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    assert allowed == [list(dict.fromkeys((f"{release}-operator", "foresail-operator")))]


@pytest.mark.parametrize("component", ["foresail-operator", "foresail-activator"])
def test_label_of_the_users_that_the_chart_sets_too_is_there_once_and_the_charts(helm: Helm, component: str) -> None:
    words = ["--set", r"podLabels.app\.kubernetes\.io/part-of=ml", "--set", "podLabels.tier=gold"]
    labels = one(helm.template(*words), "Deployment", component)["spec"]["template"]["metadata"]["labels"]
    assert (labels["app.kubernetes.io/part-of"], labels["tier"]) == ("foresail", "gold")
    assert labels["app.kubernetes.io/name"] == component


def test_names_that_yaml_takes_for_something_else_stay_names(helm: Helm) -> None:
    names = ["serviceAccount.name=123", "activator.serviceAccountName=1e3", "priorityClassName=yes"]
    words = [word for name in names for word in ("--set-string", name)]
    manifests = helm.template(*words, "--set-json", 'watchNamespaces=["no","123"]', release="on", namespace="123")
    assert {item["metadata"]["namespace"] for item in manifests} == {"123", "no"}
    assert [text for item in manifests for text in strings(item) if not isinstance(text, str)] == []
    pods = [item["spec"]["template"]["spec"] for item in manifests if item["kind"] == "Deployment"]
    assert [(pod["serviceAccountName"], pod["priorityClassName"]) for pod in pods] == [("1e3", "yes"), ("123", "yes")]


def strings(value: Any, key: str = "") -> list[Any]:
    """Return all that Kubernetes wants as text: names, namespaces and labels, wherever they are."""
    match value:
        case dict():
            labels = list(value.values()) if key in {"labels", "matchLabels"} else []
            return [text for name, item in value.items() for text in strings(item, name)] + labels
        case list():
            return [text for item in value for text in strings(item)]
        case _:
            return [value] if key in {"name", "namespace"} else []


def test_registry_of_the_operators_image_is_that_of_all_images(helm: Helm) -> None:
    known = environment(helm.template("--set", "image.registry=registry.example.com/ml"))
    images = [value for name, value in known.items() if "_IMAGE" in name]
    assert len(images) == 4
    assert [image for image in images if not image.startswith("registry.example.com/ml/foresail-")] == []
    split = environment(helm.template("--set", "image.registry=a.example", "--set", "runtime.image.registry=b.example"))
    assert split["FORESAIL_RUNTIME_IMAGE"].startswith("b.example/foresail-runtime:")


def test_account_of_the_activator_is_the_users_where_one_is_named(helm: Helm) -> None:
    manifests = helm.template("--set", "serviceAccount.create=false", "--set", "activator.serviceAccountName=held")
    assert "ServiceAccount" not in kinds(manifests)
    assert (
        one(manifests, "Deployment", "foresail-activator")["spec"]["template"]["spec"]["serviceAccountName"] == "held"
    )
    bound = [subject for item in of(manifests, "foresail-activator") for subject in item.get("subjects", [])]
    assert {subject["name"] for subject in bound} == {"held"}
