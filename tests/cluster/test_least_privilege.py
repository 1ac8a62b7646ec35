"""The chart's roles against the API server's audit log: the operator needs each right that it has, and no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import yaml

from foresail_operator.desired import meta
from foresail_testbed.cluster import Cluster
from tests.chart.charts import ALL_GROUPS, Helm
from tests.cluster import kit
from tests.cluster.relay import kubeconfig

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

NAMESPACE: Final = "foresail-audited"
ACCOUNT: Final = "operator"
NEEDED: Final = {"ServiceAccount", "Secret", "Service", "APIService", "ConfigMap"}
WISHES: Final = "audited-wake"
SCALING: Final = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "scaleDownDelaySeconds": 5,
    "metrics": [{"type": "concurrency", "target": 16}],
}
ASKED_OF_NOBODY: Final = {
    ("foresail.dev", "modeldeployments/finalizers", "update"),
    ("discovery.k8s.io", "endpointslices/restricted", "create"),
}
"""Rights that an admission plugin asks for while it looks at another request, so no request of its own is in the log;
the testbed's API server has that plugin, and would refuse the children without."""


class Right(NamedTuple):
    group: str
    resource: str
    verb: str


def granted(manifests: list[dict[str, Any]]) -> set[Right]:
    """Return every right that the operator's roles give; those for the cluster's users are not its own."""
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    bindings = [one for one in manifests if one["kind"].endswith("RoleBinding") and account in one["subjects"]]
    bound = {(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in bindings}
    rules = [
        rule for one in manifests if (one["kind"], one["metadata"]["name"]) in bound for rule in one.get("rules", ())
    ]
    return {
        Right(group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def requests(plane: Cluster, user: str) -> list[dict[str, Any]]:
    """Return what the audit log has of a user."""
    lines = [json.loads(line) for line in plane.run.audit.read_text().splitlines()]
    return [one for one in lines if one["user"]["username"] == user]


def used(events: list[dict[str, Any]]) -> set[Right]:
    """Return the rights that requests made use of; an apply that creates needs the right to create as well."""
    found: set[Right] = set()
    for one in events:
        if (reference := one.get("objectRef")) is None or "resource" not in reference:
            continue
        resource = "/".join(reference[part] for part in ("resource", "subresource") if part in reference)
        found.add(Right(reference.get("apiGroup", ""), resource, one["verb"]))
        if one["verb"] == "patch" and one.get("responseStatus", {}).get("code") == 201:
            found.add(Right(reference.get("apiGroup", ""), resource, "create"))
    return found


@pytest.fixture
def installed(plane: Access) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Return a function that installs the chart's account, roles and what they are about, and nothing that runs."""
    plane.kubectl("create", "namespace", NAMESPACE)
    made: list[str] = []

    def install(*values: str) -> list[dict[str, Any]]:
        settings = [f"--set={value}" for value in (f"serviceAccount.name={ACCOUNT}", ALL_GROUPS, *values)]
        manifests = Helm().template(*settings, release="audited", namespace=NAMESPACE)
        rights = [one for one in manifests if one["kind"] in NEEDED or "rbac" in one["apiVersion"]]
        made.append(json.dumps({"apiVersion": "v1", "kind": "List", "items": rights}))
        plane.kubectl("apply", "-f", "-", stdin=made[-1])
        return manifests

    yield install
    for text in made:
        plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
    plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    kit.eventually(lambda: gone(plane), "the namespace is gone")


def gone(plane: Access) -> bool:
    """Tell whether the namespace is gone; no kubelet confirms the end of its silent pod."""
    plane.execute(["kubectl", "delete", "pods", "--all", "--force", "-n", NAMESPACE])
    return not plane.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name")


@pytest.fixture
def silent_node(plane: Access) -> Iterator[None]:
    """Add a node that takes a pod of our own and starts nothing."""
    amounts = {"cpu": "8", "memory": "8Gi", "pods": "8"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "silent", "labels": {"silent": "yes", "kubernetes.io/os": "linux"}},
        "spec": {"taints": [{"key": "silent", "effect": "NoSchedule"}]},
    }
    plane.kubectl("create", "-f", "-", stdin=json.dumps(node))
    status = {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}
    plane.kubectl("patch", "node/silent", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    yield
    plane.kubectl("delete", "node/silent")


def start(plane: Cluster, folder: pathlib.Path, namespaces: str) -> kit.Operator:
    """Start an operator as the service account that a pod of it would be."""
    token = plane.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration=1h").strip()
    cluster = yaml.safe_load(plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    path = folder / "account.kubeconfig"
    path.write_text(kubeconfig(cluster["server"], token, cluster["certificate-authority"]))
    environment = {"KUBECONFIG": str(path), "FORESAIL_NAMESPACES": namespaces, "FORESAIL_POD_NAMESPACE": NAMESPACE}
    environment |= {"FORESAIL_LEASE_NAME": "audited-operator"}
    environment |= {"FORESAIL_ACTIVATOR_SERVICE": "audited-activator", "FORESAIL_WAKE_NAME": WISHES}
    if not namespaces:
        environment |= {"FORESAIL_METRICS_SERVICE": "audited-metrics-api", "FORESAIL_METRICS_PORT": "0"}
    return kit.Operator(plane, folder, next(kit.PORTS), **environment)


@pytest.mark.usefixtures("silent_node")
@pytest.mark.parametrize("values", [(), (f"watchNamespaces={{{NAMESPACE}}}",)], ids=["cluster", "namespace"])
def test_the_operator_uses_each_right_that_the_chart_gives_it_and_no_other(
    plane: Access,
    installed: Callable[..., list[dict[str, Any]]],
    carry: Callable[..., object],
    tmp_path: pathlib.Path,
    values: tuple[str, ...],
) -> None:
    assert isinstance(plane, Cluster)
    rights = granted(installed(*values))
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    before = len(requests(plane, user))
    operator = start(plane, tmp_path, NAMESPACE if values else "")
    try:
        operator.wait_until_leading()
        do_everything(kit.Models(plane, NAMESPACE), operator, carry, lambda: used(requests(plane, user)[before:]))
    finally:
        operator.stop()
    seen = requests(plane, user)[before:]
    assert [one["requestURI"] for one in seen if forbidden(one["responseStatus"])] == []
    assert rights - used(seen) == ASKED_OF_NOBODY


def forbidden(status: dict[str, Any]) -> bool:
    """Tell whether a right was missing; another test's namespace that is on its way out forbids in another sense."""
    return status["code"] in {401, 403} and "is being terminated" not in status.get("message", "")


def do_everything(
    models: kit.Models, operator: kit.Operator, carry: Callable[..., object], used_by_now: Callable[[], set[Right]]
) -> None:
    """Give an operator every kind of work that it has."""
    models.apply(scaling=SCALING)
    models.apply("silent", pod={"nodeSelector": {"silent": "yes"}, "tolerations": [{"operator": "Exists"}]})
    complain(models)
    models.wait_settled(operator)
    carry(40)
    wanted = "--for=jsonpath={.spec.replicas}=3"
    models.kubectl("wait", "deployment/fraud", wanted, "--timeout=20s")
    kit.eventually(lambda: sum(map(ready, models.pods())) == 3, "all three are ready")
    carry(12, "uneven")
    kit.eventually(lambda: Right("", "pods", "patch") in used_by_now(), "pods are told which of them goes first")
    (before,) = descriptions(models)
    label = "{.metadata.labels.app\\.kubernetes\\.io/managed-by}"
    for child in ("deployment/fraud", "service/fraud", "hpa/fraud", "pdb/fraud", f"configmap/{before}"):
        models.kubectl("label", child, "app.kubernetes.io/managed-by-")
        models.kubectl("wait", child, f"--for=jsonpath={label}={meta.MANAGED_BY}", "--timeout=20s")
    models.apply(replicas=2, model={"uri": "https://models.example.com/fraud-2.onnx"})
    kit.eventually(lambda: models.get("hpa") is None, "the autoscaler is gone")
    kit.eventually(lambda: len(found := descriptions(models)) == 1 and before not in found, "the old description goes")
    kit.eventually(lambda: models.state("Ready", "silent")[1] == "VolumeFailed", "an Event's words are in a condition")
    models.apply(loadBalancing="request")
    proxies = [("deployment", "fraud-proxy"), ("pdb", "fraud-proxy"), ("service", "fraud-direct")]
    kit.eventually(lambda: all(models.get(*one) for one in proxies), "the proxies are there")
    models.apply(loadBalancing="connection")
    kit.eventually(lambda: not any(models.get(*one) for one in proxies), "the proxies are gone")
    sleep_and_wake(models)


def sleep_and_wake(models: kit.Models) -> None:
    """Put an activator where the chart's Service would find it, and wish for a sleeping model as it would."""
    activators = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "audited", "labels": {"kubernetes.io/service-name": "audited-activator"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.99.0.7"], "conditions": {"ready": True}}],
    }
    models.kubectl("create", "-f", "-", stdin=json.dumps(activators))
    models.apply("sleepy", scaling=SCALING | {"minReplicas": 0})
    models.wait_ready("sleepy")
    models.kubectl("label", "endpointslice/sleepy-activator", "app.kubernetes.io/managed-by-")
    label = f"--for=jsonpath={{.metadata.labels.app\\.kubernetes\\.io/managed-by}}={meta.MANAGED_BY}"
    models.kubectl("wait", "endpointslice/sleepy-activator", label, "--timeout=20s")
    models.kubectl("scale", "deployment/sleepy", "--replicas=0")
    kit.eventually(lambda: models.state("Asleep", "sleepy") == ("True", "Asleep"), "it sleeps")
    wish = {"data": {f"{models.namespace}.sleepy": "2026-01-02T03:04:05Z"}}
    models.kubectl("patch", "configmap", WISHES, "--type=merge", "-p", json.dumps(wish))
    models.kubectl("wait", "deployment/sleepy", "--for=jsonpath={.spec.replicas}=1", "--timeout=20s")
    kit.eventually(lambda: not (models.get("configmap", WISHES) or {}).get("data"), "the wish is taken back")
    models.apply("sleepy", holdRequests=False)
    kit.eventually(lambda: models.get("endpointslice", "sleepy-activator") is None, "nobody stands in any more")


def ready(pod: dict[str, Any]) -> bool:
    """Tell whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def complain(models: kit.Models) -> None:
    """Write the Event of a pod on a node that no kubelet looks after, as its kubelet would."""
    kit.eventually(lambda: models.pods("silent") and models.pods("silent")[0]["spec"].get("nodeName"), "it is bound")
    (pod,) = models.pods("silent")
    involved = {"kind": "Pod", "namespace": models.namespace} | {key: pod["metadata"][key] for key in ("name", "uid")}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "silent", "namespace": models.namespace},
        "involvedObject": involved,
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'MountVolume.SetUp failed for volume "model" : secret "none" not found',
        "lastTimestamp": "2026-01-02T03:04:05Z",
    }
    models.kubectl("create", "-f", "-", stdin=json.dumps(event))


def descriptions(models: kit.Models) -> list[str]:
    """Return the names of the ConfigMaps that describe the model."""
    text = models.kubectl("get", "configmaps", "-l", "foresail.dev/model=fraud", "-o", "name")
    return [one.removeprefix("configmap/") for one in text.split()]


def test_a_secret_in_a_models_address_is_said_nowhere(operator: kit.Operator, models: kit.Models) -> None:
    planted = "planted-6f1d0c"
    spec: dict[str, Any] = {"model": {"uri": f"https://models.example.com/fraud.onnx?X-Signature={planted}"}}
    models.apply(**spec)
    models.wait_ready()
    models.apply("waiting", **spec, pod={"nodeSelector": {"disk": "none-such"}})
    models.apply("wrong", **spec, resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    kit.eventually(lambda: models.state("Ready", "waiting")[1] == "Unschedulable", "trouble is told")
    kit.eventually(lambda: models.state("Stalled", "wrong")[0] == "True", "a contradiction is told")
    status = [models.status(name) for name in ("fraud", "waiting", "wrong")]
    assert status[0]["model"]["uri"] == "https://models.example.com/fraud.onnx"
    events = models.kubectl("get", "events", "-o", "json")
    places = {"status": json.dumps(status), "events": events, "metrics": operator.get("/metrics")}
    places["log"] = operator.log.read_text()
    assert [place for place, text in places.items() if planted in text] == []
