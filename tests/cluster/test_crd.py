"""The CRD on a real API server: what it refuses and in which words, and how kubectl shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from foresail_testbed.errors import TestbedError
from tests.cluster import kit

if TYPE_CHECKING:
    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

URI = "https://models.example.com/fraud.onnx"


def refused(models: kit.Models, **spec: Any) -> str:
    with pytest.raises(TestbedError) as caught:
        models.apply_by_kubectl(**spec)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", sorted((kit.ROOT / "tests/operator/golden").glob("*/modeldeployment.yaml")), ids=lambda p: p.parent.name
)
def test_every_golden_model_is_taken(models: kit.Models, path: Any) -> None:
    manifest = yaml.safe_load(path.read_text())
    manifest["metadata"].pop("namespace", None)
    models.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))


def test_a_model_that_nobody_has_looked_at_is_not_taken_for_a_finished_one(models: kit.Models) -> None:
    models.apply()
    assert models.status() == {"observedGeneration": -1}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"replicas": 1, "scaling": {"maxReplicas": 2}}, "change spec.scaling.minReplicas and"),
        ({"scaling": {"minReplicas": 3, "maxReplicas": 2}}, "lower the one or raise the other"),
        ({"scaling": {"minReplicas": -1, "maxReplicas": 2}}, "greater than or equal to 0"),
        ({"scaling": {"maxReplicas": 2, "metrics": [{"type": "magic"}]}}, 'supported values: "concurrency"'),
        ({"scaling": {"maxReplicas": 2, "metrics": [{"type": "hpa"}]}}, "has its autoscaling/v2 metric in the field"),
        ({"scaling": {"maxReplicas": 2, "metrics": [{"type": "hpa", "hpa": {}, "target": 5}]}}, "take target away"),
        (
            {"scaling": {"maxReplicas": 2, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}},
            "scaling.scaleDownDelaySeconds",
        ),
        ({"scaling": {"maxReplicas": 2, "metrics": [{"type": "cpu"}, {"type": "cpu", "target": 5}]}}, "each type once"),
        ({"gpu": {"product": "A100 80GB"}}, "kubectl get nodes -L nvidia.com/gpu.product"),
        ({"model": {"uri": "configmap://models/.."}}, "configmap://NAME/KEY"),
        ({"resources": {"limits": {"cpu": -1}}}, "spec.resources.limits.cpu"),
        ({"serving": {"auth": {"secretName": "My Token"}}}, "spec.serving.auth.secretName"),
        ({"pod": {"imagePullSecrets": [{"name": "a/b"}]}}, "spec.pod.imagePullSecrets[0].name"),
        ({"runtime": {"version": "a b"}}, "write a release as its image tag has it"),
        ({"loadBalancing": "random"}, 'supported values: "connection", "request"'),
        ({"loadBalancing": "request", "serving": {"tls": {"secretName": "s"}}}, "end TLS at an Ingress"),
        ({"loadBalancing": "request", "replicas": 257}, "at most 256 replicas"),
        ({"loadBalancing": "request", "scaling": {"maxReplicas": 257}}, "lower replicas or scaling.maxReplicas"),
        ({"model": {"uri": "ftp://host/a.onnx"}}, "write https://HOST/PATH"),
        ({"model": {"uri": "https://user:secret@host/a.onnx"}}, "spec.model.credentials.secretName"),
        ({"model": {"uri": "pvc://claim/../a.onnx"}}, "must not contain '..'"),
        ({"model": {"uri": URI, "digest": "sha256:ABC"}}, "sha256sum model.onnx"),
        ({"model": {"uri": URI, "version": "-1"}}, "beginning and ending with a letter or a digit"),
        ({"serving": {"task": "magic"}}, "object-detection"),
        ({"serving": {"timeoutSeconds": 0}}, "greater than 0"),
        ({"serving": {"executionProviders": ["cuda"]}}, "CUDAExecutionProvider"),
        ({"gpu": {"resourceName": "gpu"}}, "DOMAIN/NAME"),
        ({"runtime": {"image": "a", "version": "b"}}, "an image already names its version"),
        ({"resources": {"limits": {"memory": "lots"}}}, "spec.resources.limits.memory"),
        ({"resources": {"limits": {"memory": "1e1.5"}}}, "spec.resources.limits.memory"),
        ({"resources": {"limits": {"memory": "1e999999999"}}}, "spec.resources.limits.memory"),
        ({"pod": {"labels": {"a": "x" * 64}}}, "Too long: may not be more than 63"),
        ({"pod": {"labels": {"a": "x y"}}}, "spec.pod.labels.a"),
        ({"pod": {"env": [{"name": "A", "value": "1"}, {"name": "A"}]}}, "Duplicate value"),
        ({"pod": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}}, "Duplicate value"),
        ({"pod": {"labels": {"a/b/c": "x"}}}, "write a key as up to 63 letters"),
        ({"pod": {"annotations": {"a b": "x"}}}, "write a key as up to 63 letters"),
        ({"pod": {"nodeSelector": {"k" * 64: "x"}}}, "write a key as up to 63 letters"),
        ({"pod": {"nodeSelector": {"disk": "a b"}}}, "spec.pod.nodeSelector.disk"),
        ({"pod": {"tolerations": [{}]}}, "set key, or operator: Exists"),
        ({"pod": {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}}, "take value away"),
        ({"pod": {"tolerations": [{"key": "a b", "operator": "Exists"}]}}, "spec.pod.tolerations[0].key"),
        ({"pod": {"serviceAccountName": "a..b"}}, "spec.pod.serviceAccountName"),
        ({"pod": {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}}, "write effect: NoExecute"),
        ({"model": {"uri": "https://host/a b.onnx"}}, "a space as %20"),
        ({"model": {"uri": "pvc://claim/a\nb"}}, "pvc://CLAIM/PATH"),
        (
            {"scaling": {"maxReplicas": 2, "behavior": {"scaleUp": {"policies": [
                {"type": "Pods", "value": 2**32 + 1, "periodSeconds": 1}]}}}},
            "less than or equal to 2147483647",
        ),
        ({"pod": {"hostNetwork": True}}, 'unknown field "spec.pod.hostNetwork"'),
        ({"pod": {"securityContext": {}}}, 'unknown field "spec.pod.securityContext"'),
        ({"pod": {"volumes": []}}, 'unknown field "spec.pod.volumes"'),
        ({"pod": {"labels": {"foresail.dev/model": "x"}}}, "choose other keys"),
        ({"pod": {"labels": {"app.kubernetes.io/managed-by": "x"}}}, "choose other keys"),
        ({"pod": {"annotations": {"container.apparmor.security.beta.kubernetes.io/runtime": "x"}}}, "AppArmor"),
        ({"pod": {"priorityClassName": "system-node-critical"}}, "not for models"),
        ({"pod": {"env": [{"name": "LD_PRELOAD", "value": "x"}]}}, "decides how the runtime is loaded"),
        ({"pod": {"env": [{"name": "PYTHONPATH", "value": "x"}]}}, "decides how the runtime is loaded"),
        ({"pod": {"env": [{"name": "FORESAIL_DRAIN_SECONDS", "value": "0"}]}}, "decides how the runtime is loaded"),
        ({"pod": {"env": [{"name": "1A"}]}}, "no digit first"),
        ({"pod": {"env": [{"name": "A", "valueFrom": {}}]}}, "set one of secretKeyRef and configMapKeyRef"),
        (
            {"pod": {"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}]}},
            "set value or valueFrom",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_the_fix(models: kit.Models, spec: dict[str, Any], words: str) -> None:
    assert words in refused(models, **spec)


def test_kubectl_scale_sets_the_size_and_is_refused_beside_scaling(models: kit.Models) -> None:
    models.apply("fixed", replicas=1)
    models.kubectl("scale", "mdep/fixed", "--replicas=3")
    fixed = models.get("mdep", "fixed")
    assert fixed is not None
    assert fixed["spec"]["replicas"] == 3
    models.apply("plain")
    scale = f"/apis/foresail.dev/v1alpha1/namespaces/{models.namespace}/modeldeployments/plain/scale"
    with pytest.raises(TestbedError, match=r"\.spec\.replicas"):  # docs/scaling.md tells of it
        models.kubectl("get", "--raw", scale)
    models.kubectl("scale", "mdep/plain", "--replicas=2")
    models.apply("scaled", scaling={"maxReplicas": 2})
    with pytest.raises(TestbedError, match=r"change spec\.scaling\.minReplicas"):
        models.kubectl("scale", "mdep/scaled", "--replicas=3")


def test_explain_reads_well(plane: Access) -> None:
    text = plane.kubectl("explain", "mdep.spec.scaling")
    assert "between two" in text
    assert "maxReplicas\t<integer> -required-" in text
    assert "Credentials" not in plane.kubectl("explain", "mdep.spec.model")


def test_get_shows_size_bounds_version_and_with_wide_the_reason(models: kit.Models) -> None:
    models.apply(scaling={"minReplicas": 2, "maxReplicas": 5}, gpu={"count": 2})
    heads = models.kubectl("get", "mdep", "-o", "wide").splitlines()[0].split()
    assert heads == ["NAME", "READY", "REPLICAS", "MIN", "MAX", "VERSION", "GPU", "AGE", "REASON"]
    row = models.kubectl("get", "mdep").splitlines()[1].split()
    assert row[:-1] == ["fraud", "2", "5", "1", "2"]  # nothing is ready, no operator runs
    assert "modeldeployment.foresail.dev/fraud" in models.kubectl("get", "all", "-o", "name")
