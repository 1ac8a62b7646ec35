"""Why a model is not ready, in the words of whoever stopped it, within ten seconds; a kubelet's are in tests/e2e."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests import recorder
from tests.cluster.kit import Models, Operator, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

SECONDS: Final = 10.0
CLAIM: Final = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models"},
    "spec": {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "none-such",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}
LIMITS: Final = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "small"},
    "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]},
}


def said(models: Models, reason: str) -> str:
    """Return the sentence of Ready once it has that reason."""
    eventually(lambda: models.state("Ready") == ("False", reason), f"it is said: {reason}", SECONDS)
    recorder.keep(models.get("mdep") or {})
    message: str = models.conditions()["Ready"]["message"]
    return message


def test_a_claim_that_is_not_there_or_not_bound_is_named_by_the_scheduler(operator: Operator, models: Models) -> None:
    models.apply(model={"uri": "pvc://models/fraud.onnx"})
    assert 'persistentvolumeclaim "models" not found' in said(models, "Unschedulable")
    models.kubectl("create", "-f", "-", stdin=json.dumps(CLAIM))
    unbound = "unbound immediate PersistentVolumeClaims"
    eventually(lambda: unbound in models.conditions()["Ready"]["message"], "the claim waits", SECONDS)


def test_a_limit_of_the_namespace_is_told_in_the_servers_words(operator: Operator, models: Models) -> None:
    models.kubectl("create", "-f", "-", stdin=json.dumps(LIMITS))
    models.apply()
    assert "maximum memory usage per Container is 64Mi" in said(models, "PodRefused")
    assert models.state("Stalled") == ("True", "PodRefused")


def test_a_service_account_that_is_missing_is_named(operator: Operator, models: Models) -> None:
    models.apply(pod={"serviceAccountName": "none-such"})
    assert 'serviceaccount "none-such" not found' in said(models, "PodRefused")
    models.kubectl("create", "serviceaccount", "none-such")
    models.wait_ready("fraud", 90)
    # The pod's own word comes a moment before the Deployment's that it is refused no more.
    eventually(lambda: models.state("Stalled")[0] == "False", "nothing holds it up", SECONDS)


@pytest.fixture
def policy(plane: Access, models: Models) -> Iterator[None]:
    """Refuse, in the test's namespace, every pod without a cost centre."""
    name = f"cost-centre-{models.namespace}"
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": models.namespace}}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    rule = {"expression": "'cost-centre' in object.metadata.labels", "message": "pods need the label cost-centre"}
    spec: dict[str, Any] = {"matchConstraints": {"resourceRules": [pods]}, "validations": [rule]}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": where}
    version = "admissionregistration.k8s.io/v1"
    items = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": content}
        for kind, content in (("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", binding))
    ]
    plane.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    probe = ["kubectl", "run", "probe", "--image=x", "-n", models.namespace, "--dry-run=server"]
    eventually(lambda: "cost-centre" in plane.execute(probe).stderr, "the policy is in force")
    yield
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        plane.kubectl("delete", kind, name)


@pytest.mark.usefixtures("policy")
def test_an_admission_policys_words_are_passed_on(operator: Operator, models: Models) -> None:
    models.apply()
    assert "pods need the label cost-centre" in said(models, "PodRefused")
    models.apply(pod={"labels": {"cost-centre": "risk"}})
    models.wait_ready()


def test_pod_security_that_refuses_is_told_and_is_no_business_of_ours_to_go_around(
    operator: Operator, models: Models, plane: Access
) -> None:
    """Our pods pass `restricted`; what a webhook adds need not, so a container is added as one would."""
    models.apply()
    models.wait_settled(operator)
    plane.kubectl("label", "namespace", models.namespace, "pod-security.kubernetes.io/enforce=restricted")
    mighty = {"name": "added", "image": "x", "securityContext": {"privileged": True}}
    patch = {"spec": {"template": {"spec": {"containers": [mighty]}}}}
    models.kubectl("patch", "deployment/fraud", "-p", json.dumps(patch))
    eventually(lambda: models.state("Stalled") == ("True", "PodRefused"), "it is said", SECONDS)
    message = models.conditions()["Stalled"]["message"]
    assert 'violates PodSecurity "restricted:latest"' in message
    assert "privileged" in message
    assert models.state("Available")[0] == "True", "what ran before still answers"
