"""Autoscaling on the load with the real HPA and aggregator; nodes and pods are kwok's, the load is a stub's."""

from __future__ import annotations

import itertools
import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from foresail_testbed import errors, options
from tests.cluster.kit import eventually

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from foresail_testbed.access import Access
    from foresail_testbed.process import Inside

pytestmark = pytest.mark.cluster

_PORTS = itertools.count(18400)
GROUP = "custom.metrics.k8s.io"
NAME = "shelf"
METRIC = f"modeldeployments.foresail.dev/{NAME}/concurrency"


class Scene:
    """A Deployment with an HPA on its load, one or more replicas that serve it, and a load to set."""

    def __init__(self, plane: Access, namespace: str, folder: pathlib.Path) -> None:
        self.plane, self.namespace, self.folder = plane, namespace, folder
        self.load = folder / "load"
        self.pod_port = next(_PORTS)
        self.processes: dict[int, Inside] = {}
        self.carry(5)
        self._start("pod", self.pod_port)

    def carry(self, requests: float) -> None:
        self.load.write_text(str(requests))

    def replica(self, *, leads: bool = True) -> int:
        """Start a replica, lead the Service to it and return its port."""
        port = next(_PORTS)
        self._start("replica", port, leads=leads)
        self._route(port)
        return port

    def kill(self, port: int) -> None:
        """Kill a replica; its endpoint goes as a kubelet would see to it."""
        self.processes[port].kill()
        self.kubectl("delete", "endpointslice", f"metrics-{port}")

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.plane.kubectl("-n", self.namespace, *words, stdin=stdin)

    def raw(self, path: str) -> Any:
        """Ask the aggregator; None while it has no answer."""
        try:
            return json.loads(self.plane.kubectl("get", "--raw", path))
        except errors.TestbedError:
            return None

    def number(self) -> float | None:
        """Return the number as the aggregator has it, None while it has none."""
        answer = self.raw(f"/apis/{GROUP}/v1beta2/namespaces/{self.namespace}/{METRIC}")
        if not answer:
            return None
        text = answer["items"][0]["value"]
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)

    def about(self, number: float) -> bool:
        """Return whether the number is that, give or take what a stub's clock adds."""
        found = self.number()
        return found is not None and abs(found - number) < 0.5

    def size(self) -> int:
        return int(self.kubectl("get", "deployment", NAME, "-o", "jsonpath={.spec.replicas}"))

    def hpa(self) -> dict[str, Any]:
        status: dict[str, Any] = self.plane.get("-n", self.namespace, "hpa", NAME)["status"]
        return status

    def active(self) -> str:
        """Return status and reason of the HPA's ScalingActive."""
        conditions = {one["type"]: one for one in self.hpa().get("conditions", ())}
        one = conditions.get("ScalingActive", {})
        return f"{one.get('status')} {one.get('reason')}"

    def apply(self, *manifests: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(items))

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
        for version in ("v1beta2", "v1beta1"):
            self.plane.kubectl("delete", "apiservice", f"{version}.{GROUP}", "--ignore-not-found")

    def _start(self, what: str, port: int, *, leads: bool = False) -> None:
        config = {
            "namespace": self.namespace,
            "name": NAME,
            "service": "metrics",
            "target": 16,
            "maximum": 10,
            "delay_seconds": 5.0,
            "leads": leads,
            "load": str(self.load),
            "pod_port": self.pod_port,
            "api_port": port,
            "address": options.API_ADDRESS,
        }
        file = self.folder / f"{what}-{port}.json"
        file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "tests.cluster.scaling_replica", what, str(file)]
        self.processes[port] = self.plane.popen(command, log=self.folder / f"{what}-{port}.log")

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


def api_service(namespace: str, version: str, service: str = "metrics") -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 200 if version == "v1beta2" else 100,
            "service": {"namespace": namespace, "name": service, "port": 443},
        },
    }


def deployment() -> dict[str, Any]:
    labels = {"app": NAME}
    container = {"name": "runtime", "image": "stub"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def autoscaler() -> dict[str, Any]:
    described = {"apiVersion": "foresail.dev/v1alpha1", "kind": "ModelDeployment", "name": NAME}
    target = {"type": "AverageValue", "averageValue": "16"}
    metric = {"describedObject": described, "metric": {"name": "concurrency"}, "target": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [{"type": "Object", "object": metric}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


RIGHTS = (
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "foresail-test-metrics"},
        "rules": [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list"]}],
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
def scene(plane: Access, namespace: str, tmp_path: pathlib.Path) -> Iterator[Scene]:
    """The Service, the APIServices and the Deployment; no replica yet, no HPA yet."""
    scene = Scene(plane, namespace, tmp_path)
    try:
        scene.apply(*RIGHTS, *(api_service(namespace, version) for version in ("v1beta2", "v1beta1")), deployment())
        yield scene
    finally:
        scene.end()


def test_the_aggregator_answers_with_a_models_load_and_lists_the_metrics(scene: Scene) -> None:
    scene.replica()
    eventually(lambda: scene.about(5), "the number is served")
    listed = scene.raw(f"/apis/{GROUP}/v1beta2")
    assert "modeldeployments.foresail.dev/concurrency" in [resource["name"] for resource in listed["resources"]]
    older = scene.raw(f"/apis/{GROUP}/v1beta1/namespaces/{scene.namespace}/{METRIC}")
    assert older["items"][0]["metricName"] == "concurrency"
    with pytest.raises(errors.TestbedError, match="could not find the metric nonsense"):
        scene.plane.kubectl(
            "get", "--raw", f"/apis/{GROUP}/v1beta2/namespaces/{scene.namespace}/{METRIC}"[:-11] + "nonsense"
        )


def test_who_goes_around_the_aggregator_is_refused(scene: Scene) -> None:
    port = scene.replica()
    eventually(scene.number, "the number is served")
    url = f"https://{options.API_ADDRESS}:{port}/apis/{GROUP}/v1beta2/namespaces/{scene.namespace}/{METRIC}"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"X-Remote-User": "system:admin"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5, context=context)
    assert refused.value.code == 401
    assert json.loads(refused.value.read())["reason"] == "Unauthorized"


def test_a_step_is_asked_for_in_three_seconds_confirmed_by_the_hpa_and_taken_back(scene: Scene) -> None:
    scene.replica()
    scene.apply(autoscaler())
    eventually(lambda: scene.active() == "True ValidMetricFound", "the HPA reads the number", seconds=60)
    scene.carry(46)
    started = time.monotonic()
    eventually(lambda: scene.size() == 3, "the burst path raises it")
    assert time.monotonic() - started < 3.5  # a look at the API each 50 ms and more included
    since = time.monotonic()
    while time.monotonic() - since < 20:  # more than one look of the HPA
        assert scene.size() == 3
    assert scene.hpa()["desiredReplicas"] == 3
    scene.carry(5)
    eventually(lambda: scene.size() == 1, "the HPA takes it back", seconds=45)


def test_one_replica_dies_and_the_number_is_still_served_all_die_and_nothing_moves(scene: Scene) -> None:
    first = scene.replica()
    eventually(scene.number, "the number is served")
    second = scene.replica(leads=False)
    scene.carry(46)
    scene.apply(autoscaler())
    eventually(lambda: scene.size() == 3 and scene.active() == "True ValidMetricFound", "it has grown", seconds=60)
    scene.kill(first)
    eventually(lambda: scene.about(46), "the other replica serves it")
    scene.kill(second)
    eventually(lambda: scene.active() == "False FailedGetObjectMetric", "the HPA says so", seconds=60)
    assert scene.size() == 3
    for version in ("v1beta2", "v1beta1"):
        scene.plane.kubectl("delete", "apiservice", f"{version}.{GROUP}")
    scene.plane.kubectl("create", "namespace", f"{scene.namespace}-other")
    scene.plane.kubectl("delete", "namespace", f"{scene.namespace}-other", "--timeout=30s")


def test_another_providers_metrics_api_is_left_alone(scene: Scene) -> None:
    scene.apply(api_service(scene.namespace, "v1beta1", service="prometheus-adapter"))
    scene.replica()
    ours = ["apiservice", f"v1beta2.{GROUP}"]
    eventually(lambda: scene.plane.get(*ours)["spec"].get("caBundle"), "ours trusts our authority")
    theirs = scene.plane.get("apiservice", f"v1beta1.{GROUP}")
    assert "caBundle" not in theirs["spec"]
    assert theirs["spec"]["service"]["name"] == "prometheus-adapter"
