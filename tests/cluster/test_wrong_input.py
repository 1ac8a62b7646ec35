"""What a user gets wrong, on a real API server: what is refused, what is said, and whose objects are left alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from foresail_testbed.errors import TestbedError
from tests.cluster.kit import Models, Operator, eventually

if TYPE_CHECKING:
    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

SCALING = {"minReplicas": 2, "maxReplicas": 4}
POD_DOORS = {
    "affinity", "imagePullSecrets", "nodeSelector", "priorityClassName", "runtimeClassName", "serviceAccountName",
    "tolerations",
}  # fmt: skip
"""Fields of a pod's spec that spec.pod has too; none of them widens what the pod may do."""


def test_of_a_pods_own_fields_none_but_the_chosen_ones_is_a_field_of_ours(models: Models, plane: Access) -> None:
    schemas = json.loads(plane.kubectl("get", "--raw", "/openapi/v3/api/v1"))["components"]["schemas"]
    fields = set(schemas["io.k8s.api.core.v1.PodSpec"]["properties"]) | {"hostPath", "privileged", "capabilities"}
    assert POD_DOORS | {"hostPID", "volumes", "securityContext", "automountServiceAccountToken"} <= fields
    with pytest.raises(TestbedError) as caught:
        models.apply_by_kubectl(pod={key: {} for key in sorted(fields - POD_DOORS)})
    refused = {field for field in fields if f'unknown field "spec.pod.{field}"' in str(caught.value)}
    assert refused == fields - POD_DOORS


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"serviceAccountName": "default", "automountServiceAccountToken": True}, "automountServiceAccountToken"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}, "fieldRef"),
        ({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"path": "/"}}}]}, "fileKeyRef"),
        ({"annotations": {"container.seccomp.security.alpha.kubernetes.io/a": "b"}}, "choose other keys"),
        ({"annotations": {"foresail.dev/model": "other"}}, "choose other keys"),
        ({"env": [{"name": "SSLKEYLOGFILE", "value": "/tmp/keys"}]}, "decides how the runtime is loaded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_pod_cant_be_made_to_do_more(models: Models, pod: dict[str, Any], words: str) -> None:
    with pytest.raises(TestbedError, match=words):
        models.apply_by_kubectl(pod=pod)


def test_another_service_account_gives_a_pod_no_token(operator: Operator, models: Models) -> None:
    models.kubectl("create", "serviceaccount", "mighty")
    models.apply(pod={"serviceAccountName": "mighty"})
    models.wait_ready()
    (pod,) = models.pods()
    assert pod["spec"]["serviceAccountName"] == "mighty"
    assert [name for name in pod["spec"]["volumes"] if "projected" in name] == []
    models.apply()
    models.wait_settled(operator)
    deployment = models.get("deployment")
    assert deployment is not None
    spec = deployment["spec"]["template"]["spec"]
    assert not {"serviceAccount", "serviceAccountName"} & spec.keys(), "what is taken away does not come back"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("deployment", ("create", "deployment", "fraud", "--image=x")),
        ("service", ("create", "service", "clusterip", "fraud-pods", "--tcp=5:5")),
        ("hpa", ("autoscale", "deployment", "other", "--max=2", "--name=fraud")),  # `other` is made first
        ("pdb", ("create", "poddisruptionbudget", "fraud", "--selector=a=b", "--min-available=1")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_foreign_object_of_a_childs_name_is_left_alone_and_its_owner_is_named(
    operator: Operator, models: Models, kind: str, words: tuple[str, ...]
) -> None:
    models.kubectl("create", "deployment", "other", "--image=x")
    models.kubectl(*words)
    name = "fraud-pods" if kind == "service" else "fraud"
    before = models.get(kind, name)
    models.apply(scaling=SCALING)
    eventually(lambda: models.state("Stalled") == ("True", "NameConflict"), "the conflict is named")
    message = models.conditions()["Stalled"]["message"]
    assert f"{name} is there already and belongs to no controller (written by " in message
    assert "kubectl" in message
    assert "Delete or rename it" in message
    now = models.get(kind, name)
    assert before is not None
    assert now is not None
    assert (now["spec"], now["metadata"].get("ownerReferences")) == (before["spec"], None)
    models.kubectl("delete", kind, name)
    models.kubectl("label", "mdep/fraud", "look=again")
    eventually(lambda: models.state("Ready")[0] == "True" and models.state("Stalled")[0] == "False", "it goes on")


def test_a_pod_that_was_set_aside_by_its_label_answers_for_nobody(operator: Operator, models: Models) -> None:
    models.apply()
    models.wait_settled(operator)
    (pod,) = models.pods()
    models.forbid("pods")
    models.kubectl("label", f"pod/{pod['metadata']['name']}", "foresail.dev/model-")
    eventually(lambda: models.state("Ready") == ("False", "QuotaExceeded"), "no other can take its place")
    assert models.state("Available") == ("False", "NoReplicaAvailable")


def test_what_others_added_stays_when_a_spec_was_refused_and_is_mended(operator: Operator, models: Models) -> None:
    def containers() -> set[str]:
        found = (models.get("deployment") or {})["spec"]["template"]["spec"]["containers"]
        return {one["name"] for one in found}

    models.apply()
    models.wait_settled(operator)
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "x"}]}}}}
    models.kubectl("patch", "deployment/fraud", "-p", json.dumps(sidecar))
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    models.apply(pod={"affinity": {"nodeAffinity": {required: {"nodeSelectorTerms": []}}}})
    eventually(lambda: models.state("Stalled") == ("True", "Refused"), "it is said")
    models.apply(serving={"maxQueueSize": 7})
    eventually(lambda: models.state("Stalled")[0] == "False", "it is mended")
    assert containers() == {"runtime", "sidecar"}


def test_names_that_would_collide_when_cut_have_children_of_their_own(operator: Operator, models: Models) -> None:
    names = ["a" * 62 + "b", "a" * 62 + "c", "fraud.v1", "fraud-v1"]
    for name in names:
        models.apply(name)
    for name in names:
        models.wait_ready(name)
    items = json.loads(models.kubectl("get", "deployments", "-o", "json"))["items"]
    assert sorted(one["metadata"]["ownerReferences"][0]["name"] for one in items) == sorted(names)
    selectors = [one["spec"]["selector"]["matchLabels"]["foresail.dev/model"] for one in items]
    assert len(set(selectors)) == len(names)


def test_a_model_deleted_while_its_children_are_made_leaves_none_behind(operator: Operator, models: Models) -> None:
    for number in range(5):
        models.apply(f"m{number}", scaling=SCALING)
        models.kubectl("delete", "mdep", f"m{number}", "--wait=false")
    left = "deployments,services,hpa,pdb,configmaps"
    eventually(lambda: not models.kubectl("get", left, "-l", "foresail.dev/model", "-o", "name"), "nothing is left", 90)
    assert "Traceback" not in operator.log.read_text()


def test_a_namespace_goes_while_models_in_it_are_made(models: Models, operator: Operator) -> None:
    for number in range(5):
        models.apply(f"m{number}", scaling=SCALING)
    models.kubectl("delete", "namespace", models.namespace, "--timeout=60s")
    assert "Traceback" not in operator.log.read_text()
    quiet = operator.writes()
    models.plane.kubectl("create", "namespace", models.namespace)
    models.apply()
    models.wait_ready()
    assert operator.writes() - quiet < 20, "what is gone is not written to"
