"""Autoscaling on the load with the real operator, HPA and aggregator; nodes and pods are kwok's, the load a stub's."""

from __future__ import annotations

import ipaddress
import itertools
import json
import math
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_operator.desired import meta
from foresail_operator.scaling import documents
from foresail_testbed import errors, options
from tests.cluster.kit import eventually
from tests.cluster.stub_pods import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foresail_testbed.access import Access
    from tests.cluster import kit

    Carry = Callable[..., object]

pytestmark = [pytest.mark.cluster, pytest.mark.windows]

_PORTS = itertools.count(18400)
CUSTOM: Final = documents.CUSTOM_GROUP
EXTERNAL: Final = documents.EXTERNAL_GROUP
NAME: Final = "shelf"
METRIC: Final = f"modeldeployments.foresail.dev/{NAME}/concurrency"
LOOK_SECONDS: Final = 15.0
"""How often the HPA looks, which the control plane leaves as it is."""
READS: Final = "True ValidMetricFound"
SCALING: Final = {
    "maxReplicas": 10,
    "metrics": [{"type": "concurrency", "target": 16}],
    "scaleDownDelaySeconds": 5,
}


class Scene:
    """A model that scales on its load, one or more operators, and a load to set."""

    def __init__(self, plane: Access, models: kit.Models, operators: kit.Operators, carry: Carry) -> None:
        self.plane, self.models, self.operators = plane, models, operators
        self.namespace = models.namespace
        self.carry = carry
        carry(5)

    def replica(self) -> kit.Operator:
        """Start an operator with a metrics API, and lead the Service to it."""
        port = next(_PORTS)
        operator = self.operators.start(
            FORESAIL_HTTP_HOST="0.0.0.0",  # of a network namespace of its own
            FORESAIL_METRICS_SERVICE="metrics",
            FORESAIL_METRICS_PORT=str(port),
        )
        self._route(port)
        return operator

    def kill(self, operator: kit.Operator) -> None:
        """Kill an operator; its endpoint goes as a kubelet would see to it."""
        operator.kill()
        port = operator.environment["FORESAIL_METRICS_PORT"]
        self.kubectl("delete", "endpointslice", f"metrics-{port}")

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.models.kubectl(*words, stdin=stdin)

    def raw(self, path: str) -> Any:
        """Ask the aggregator; None while it has no answer."""
        return self.models.objects.raw(path)

    def number(self) -> float | None:
        """Return the number as the aggregator has it, None while it has none."""
        answer = self.raw(f"/apis/{CUSTOM}/v1beta2/namespaces/{self.namespace}/{METRIC}")
        if not answer:
            return None
        text = answer["items"][0]["value"]
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)

    def about(self, number: float) -> bool:
        """Return whether the number is that, give or take what a stub's clock adds."""
        found = self.number()
        return found is not None and abs(found - number) < 0.5

    def size(self) -> int:
        return int((self.models.get("deployment", NAME) or {})["spec"]["replicas"])

    def hpa(self) -> dict[str, Any]:
        return self.models.get("hpa", NAME) or {}

    def active(self) -> str:
        """Return status and reason of the HPA's ScalingActive."""
        conditions = {one["type"]: one for one in self.hpa().get("status", {}).get("conditions", ())}
        one = conditions.get("ScalingActive", {})
        return f"{one.get('status')} {one.get('reason')}"

    def failed_looks(self) -> int:
        """Return how many of the HPA's looks at the load have failed."""
        chosen = f"reason=FailedGetObjectMetric,involvedObject.name={NAME}"
        found = json.loads(self.kubectl("get", "events", "--field-selector", chosen, "-o", "json"))["items"]
        return sum(int(one.get("count") or 1) for one in found)

    def said(self) -> dict[str, Any]:
        """Return status.scaling."""
        found: dict[str, Any] = self.models.status(NAME).get("scaling", {})
        return found

    def apply(self, *manifests: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(items))

    def register(self, *groups: str) -> None:
        """Register the metrics API, as the chart does."""
        for group in groups:
            self.apply(*(api_service(self.namespace, group, version) for version in documents.VERSIONS[group]))

    def end(self) -> None:
        for group, versions in documents.VERSIONS.items():
            names = (f"{version}.{group}" for version in versions)
            self.plane.kubectl("delete", "apiservice", *names, "--ignore-not-found")

    def _route(self, port: int) -> None:
        metadata = {"name": "metrics", "labels": {"kubernetes.io/service-name": "metrics"}}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443}]},
        }
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | {"name": f"metrics-{port}"},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port}],
            "endpoints": [{"addresses": [options.API_ADDRESS], "conditions": {"ready": True}}],
        }
        self.apply(service, endpoints)


def api_service(namespace: str, group: str, version: str, service: str = "metrics") -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 200 if version == "v1beta2" else 100,
            "service": {"namespace": namespace, "name": service, "port": 443},
        },
    }


RIGHTS = (
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "foresail-test-metrics"},
        "rules": [{"apiGroups": [CUSTOM, EXTERNAL], "resources": ["*"], "verbs": ["get", "list"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "foresail-test-metrics"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "foresail-test-metrics"},
        "subjects": [{"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}],
    },
)


@pytest.fixture
def scene(plane: Access, models: kit.Models, operators: kit.Operators, carry: Carry) -> Iterator[Scene]:
    """A model that scales on its load; no operator yet, no metrics API yet."""
    scene = Scene(plane, models, operators, carry)
    try:
        scene.apply(*RIGHTS)
        models.apply(NAME, scaling=SCALING)
        yield scene
    finally:
        scene.end()


def test_the_aggregator_answers_with_a_models_load_and_who_goes_around_it_is_refused(scene: Scene) -> None:
    scene.register(CUSTOM)
    port = scene.replica().environment["FORESAIL_METRICS_PORT"]
    eventually(lambda: scene.about(5), "the number is served")
    listed = scene.raw(f"/apis/{CUSTOM}/v1beta2")
    assert "modeldeployments.foresail.dev/concurrency" in [resource["name"] for resource in listed["resources"]]
    path = f"namespaces/{scene.namespace}/{METRIC}"
    older = scene.raw(f"/apis/{CUSTOM}/v1beta1/{path}")
    assert older["items"][0]["metricName"] == "concurrency"
    with pytest.raises(errors.TestbedError, match="could not find the metric nonsense"):
        scene.plane.kubectl("get", "--raw", f"/apis/{CUSTOM}/v1beta2/{path.replace('concurrency', 'nonsense')}")
    url = f"https://{options.API_ADDRESS}:{port}/apis/{CUSTOM}/v1beta2/{path}"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"X-Remote-User": "system:admin"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5, context=context)
    assert refused.value.code == 401
    assert json.loads(refused.value.read())["reason"] == "Unauthorized"


def test_a_step_is_asked_for_before_the_hpa_does_confirmed_by_it_and_taken_back(scene: Scene) -> None:
    scene.register(CUSTOM)
    operator = scene.replica()
    eventually(lambda: scene.active() == READS, "the HPA reads the number", seconds=60)
    eventually(lambda: scene.models.state("ScalingActive", NAME) == ("True", "ValidMetricFound"), "the status says so")
    scene.models.wait_settled(operator, NAME)
    scene.carry(40)
    eventually(lambda: scene.size() == 3, "the burst path raises it")
    assert raises(operator) >= 1, "it writes nothing where the HPA was first"
    eventually(lambda: scene.said().get("desired") == 3, "the status says so")
    assert scene.said()["reason"].startswith("3 of 10: ")
    assert scene.said()["mode"] == "custom"
    scene.models.wait_settled(operator, NAME)
    writes, since = operator.writes(), time.monotonic()
    while time.monotonic() - since < 18:  # more than one look of the HPA
        assert scene.size() == 3
    assert scene.hpa()["status"]["desiredReplicas"] == 3
    assert operator.writes() == writes
    scene.carry(5)
    eventually(lambda: scene.size() == 1, "the HPA takes it back", seconds=45)
    events = scene.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}", "--field-selector=type=Normal")
    eventually(lambda: scene.said().get("desired") == 1, "the status says so")
    assert "ScalingUp" in events


def test_of_pods_with_unequal_loads_the_least_loaded_go_and_only_then_is_anything_written_on_pods(scene: Scene) -> None:
    scene.register(CUSTOM)
    operator = scene.replica()
    eventually(lambda: scene.active() == READS, "the HPA reads the number", seconds=60)
    scene.carry(40)
    eventually(lambda: scene.size() == 3 and len(costs(scene)) == 3, "the burst path raises it")
    scene.models.wait_settled(operator, NAME)
    assert set(costs(scene).values()) == {None}
    assert 'kind="Pod"' not in patches(operator)
    scene.carry(12, "uneven")  # 2, 4 and 6, by address
    eventually(lambda: sorted(costs(scene).values(), key=str) != [None] * 3, "a scale-in is near", seconds=30)
    busiest = max(costs(scene), key=ipaddress.ip_address)
    eventually(lambda: scene.size() == 1, "the HPA takes two away", seconds=45)
    eventually(lambda: list(costs(scene)) == [busiest], "the busiest is left")
    scene.models.wait_settled(operator, NAME)
    sent = patches(operator)
    assert costs(scene)[busiest] is None
    assert 'kind="Pod"' in sent
    assert patches(operator) == sent


def costs(scene: Scene) -> dict[str, str | None]:
    """Return the deletion costs of the pods that stay, by address."""
    return {
        pod["status"]["podIP"]: pod["metadata"].get("annotations", {}).get(meta.DELETION_COST_ANNOTATION)
        for pod in scene.models.pods(NAME)
        if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("podIP")
    }


def raises(operator: kit.Operator) -> float:
    """Return how often the operator has written a Deployment's scale subresource."""
    sent = operator.samples("foresail_operator_requests_total{")
    return sum(count for label, count in sent.items() if 'kind="Deployment",method="PUT",status="200"' in label)


def patches(operator: kit.Operator) -> str:
    """Return the operator's count of patches, by kind, as text."""
    sent = operator.samples("foresail_operator_requests_total{")
    return "\n".join(f"{label} {count}" for label, count in sorted(sent.items()) if 'method="PATCH"' in label)


def test_the_first_start_is_in_the_status_and_every_start_in_the_metrics_by_phase(scene: Scene) -> None:
    operator = scene.operators.start().wait_until_leading()
    cold = eventually(lambda: scene.models.status(NAME).get("coldStart"), "the start is told")
    assert {name: cold["phases"][name] for name in PHASES} == PHASES
    assert sum(cold["phases"].values()) >= cold["seconds"] >= 0  # both may be seen in one look
    scene.carry(40)
    name = "foresail_operator_cold_start_seconds_count{"
    eventually(lambda: set(operator.samples(name).values()) == {3.0}, "the starts of the others are counted")
    assert len(operator.samples(name)) == len(cold["phases"]) + 1
    assert scene.models.status(NAME)["coldStart"] == cold, "they were no cold starts"


def test_one_operator_dies_and_the_number_is_still_served_all_die_and_nothing_moves(scene: Scene) -> None:
    scene.register(CUSTOM)
    first = scene.replica().wait_until_leading()
    eventually(scene.number, "the number is served")
    second = scene.replica()
    scene.carry(40)
    eventually(lambda: scene.size() == 3 and scene.active() == READS, "it has grown", seconds=60)
    failed, killed_at = scene.failed_looks(), time.monotonic()
    scene.kill(first)
    served: list[float | None] = []

    def serves() -> bool:
        served.append(scene.number())
        return [number is not None for number in served[-5:]] == [True] * 5

    eventually(serves, "the other operator serves it")
    # One that began a moment ago keeps the size that is there until it has seen a whole delay: 3 of 16 then, not 40.
    assert {math.ceil(number / 16) for number in served if number is not None} == {3}
    # Its condition would say so too, until the next look: the Event that stands for a row of them counts each.
    eventually(lambda: time.monotonic() - killed_at > 2 * LOOK_SECONDS + 3, "the HPA looks twice", seconds=45)
    assert scene.failed_looks() - failed <= 1
    assert scene.size() == 3
    scene.kill(second)
    eventually(lambda: scene.active() == "False FailedGetObjectMetric", "the HPA says so", seconds=60)
    assert scene.size() == 3
    for version in documents.CUSTOM_VERSIONS:
        scene.plane.kubectl("delete", "apiservice", f"{version}.{CUSTOM}")
    scene.plane.kubectl("create", "namespace", f"{scene.namespace}-other")
    scene.plane.kubectl("delete", "namespace", f"{scene.namespace}-other", "--timeout=30s")


def test_where_another_provider_has_the_custom_api_the_external_one_is_used(scene: Scene) -> None:
    scene.apply(api_service(scene.namespace, CUSTOM, "v1beta1", service="prometheus-adapter"))
    scene.register(EXTERNAL)
    scene.replica()
    eventually(lambda: scene.active() == READS, "the HPA reads the number", seconds=60)
    scene.carry(40)
    eventually(lambda: scene.size() == 3, "it grows", seconds=30)
    assert scene.hpa()["spec"]["metrics"][0]["external"]["metric"]["name"] == "foresail_concurrency"
    words = scene.models.conditions(NAME)["ScalingActive"]["message"]
    assert words == (
        f"the HPA reads the load over {EXTERNAL} because {CUSTOM} belongs to Service "
        f"{scene.namespace}/prometheus-adapter"
    )
    theirs = scene.plane.get("apiservice", f"v1beta1.{CUSTOM}")
    assert "caBundle" not in theirs["spec"]
    assert theirs["spec"]["service"]["name"] == "prometheus-adapter"


def test_without_a_metrics_api_the_bounds_follow_the_load_up_and_down(scene: Scene) -> None:
    operator = scene.operators.start().wait_until_leading()
    eventually(lambda: scene.said().get("desired") == 1, "the load is known")
    assert scene.models.state("ScalingActive", NAME) == ("True", "BoundsSet")
    scene.models.wait_settled(operator, NAME)
    scene.carry(40)
    eventually(lambda: scene.size() == 3, "the burst path raises it")
    eventually(lambda: bounds(scene.hpa()) == (3, 3), "the bounds follow")
    scene.carry(5)
    eventually(lambda: bounds(scene.hpa()) == (1, 1), "the bounds follow", seconds=30)
    eventually(lambda: scene.size() == 1, "the HPA takes it back", seconds=45)


def bounds(hpa: dict[str, Any]) -> tuple[int, int]:
    return hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]
