"""The operator on a real API server with real controllers; nodes and pods are kwok's."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from foresail_operator.desired import pace
from tests import recorder
from tests.cluster.kit import SOON_SECONDS, Models, Operator, Operators, eventually, wait_quiet

if TYPE_CHECKING:
    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

CHILDREN = ("deployment/fraud", "service/fraud", "service/fraud-pods", "hpa/fraud", "pdb/fraud")
SIZES = "jsonpath={.spec.replicas}{'\\n'}"
SCALING = {"minReplicas": 2, "maxReplicas": 4}
ELSEWHERE = {
    "type": "External",
    "external": {"metric": {"name": "orders_waiting"}, "target": {"type": "AverageValue", "averageValue": "30"}},
}
ON_CPU = {"metrics": [{"type": "cpu", "target": 60}, {"type": "hpa", "hpa": ELSEWHERE}]}
"""The control plane has nobody who serves them, which the autoscaler says at its second look."""


def spec(models: Models, kind: str, name: str = "fraud") -> dict[str, Any]:
    found = models.get(kind, name)
    assert found is not None
    result: dict[str, Any] = found["spec"]
    return result


def events(models: Models, selector: str) -> list[str]:
    """Return the Events that a field selector selects, once there are any: they come a moment after the status."""

    def found() -> list[str]:
        return models.kubectl("get", "events", f"--field-selector={selector}", "-o", "name").split()

    told: list[str] = eventually(found, f"an Event of {selector}")
    return told


def configmaps(models: Models) -> list[str]:
    text = models.kubectl("get", "configmaps", "-l", "foresail.dev/model", "-o", "name")
    return text.split()


def webhook_nobody_answers(name: str, namespace: str) -> dict[str, Any]:
    """A configuration that lets no Deployment into the namespace: nothing listens where it asks."""
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["*"]}
    webhook = {
        "name": "away.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def test_a_model_becomes_ready_and_nothing_of_the_users_is_changed(operator: Operator, models: Models) -> None:
    models.apply_by_kubectl(scaling=SCALING)
    models.kubectl("wait", "--for=condition=Ready", "mdep/fraud", "--timeout=60s")
    assert all(models.get(*child.split("/")) for child in CHILDREN)
    eventually(lambda: spec(models, "deployment")["replicas"] == 2, "the autoscaler lifts it to its minimum")
    model = models.get("mdep")
    assert model is not None
    assert "finalizers" not in model["metadata"]
    assert "annotations" not in model["metadata"] or set(model["metadata"]["annotations"]) == {
        "kubectl.kubernetes.io/last-applied-configuration"
    }


def test_a_fresh_model_costs_few_requests_and_rest_costs_none(operators: Operators, models: Models) -> None:
    operator = operators.start().wait_until_leading()
    reads = operator.reads()
    models.apply(scaling={"maxReplicas": 3} | ON_CPU)
    eventually(lambda: models.state("ScalingActive")[0] == "False", "the autoscaler has looked for metrics in vain")
    models.wait_settled(operator)
    assert ELSEWHERE in spec(models, "hpa")["metrics"]
    assert operator.writes() <= 10
    assert operator.reads() - reads <= 2
    writes, looks = operator.writes(), operator.looks()
    models.kubectl("label", "mdep/fraud", "team=risk")  # an event that changes nothing that is read
    models.kubectl("annotate", "deployment/fraud", "note=mine")  # beside what is ours
    eventually(lambda: operator.looks() > looks, "the operator has looked")
    models.wait_settled(operator)
    assert operator.writes() == writes


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_that_was_deleted_comes_back_at_once(operator: Operator, models: Models, child: str) -> None:
    models.apply(scaling=SCALING)
    models.wait_ready()
    before = models.get(*child.split("/"))
    assert before is not None
    models.kubectl("delete", child, "--wait=false")

    def back() -> bool:
        found = models.get(*child.split("/"))
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    eventually(back, f"{child} is back", SOON_SECONDS)


PODS = "/spec/template/spec"


def runtime(**fields: Any) -> dict[str, Any]:
    """Return a strategic patch of the runtime's container."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "runtime", **fields}]}}}}


def test_the_description_that_was_deleted_comes_back_at_once(operator: Operator, models: Models) -> None:
    models.apply()
    models.wait_ready()
    before = configmaps(models)
    models.kubectl("delete", *before, "--wait=true")
    eventually(lambda: configmaps(models) == before, "it is back", SOON_SECONDS)


@pytest.mark.parametrize(
    ("child", "patch"),
    [
        ("deployment/fraud", {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}),
        ("deployment/fraud", {"metadata": {"labels": {"foresail.dev/model": "x"}}}),
        ("service/fraud", {"spec": {"selector": {"more": "x"}}}),
        ("hpa/fraud", {"spec": {"maxReplicas": 9}}),
        ("pdb/fraud", {"spec": {"maxUnavailable": 0}}),
        ("service/fraud-pods", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
        ("service/fraud", {"spec": {"ports": [{"name": "http", "port": 8000}]}}),
        ("pdb/fraud", {"spec": {"maxUnavailable": None, "minAvailable": 1}}),
        ("deployment/fraud", runtime(livenessProbe={"httpGet": None, "tcpSocket": {"port": 80}})),
        (
            "deployment/fraud",
            [{"op": "replace", "path": f"{PODS}/containers/0/ports/0/containerPort", "value": 9000}],
        ),
        ("deployment/fraud", [{"op": "replace", "path": f"{PODS}/containers/0/name", "value": "mine"}]),
        (
            "deployment/fraud",
            [
                {"op": "remove", "path": f"{PODS}/volumes/1/emptyDir"},
                {"op": "add", "path": f"{PODS}/volumes/1/hostPath", "value": {"path": "/"}},
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hand_edit_of_what_is_ours_is_repaired_at_once(
    operator: Operator, models: Models, child: str, patch: Any
) -> None:
    models.apply(scaling=SCALING)
    models.wait_settled(operator)
    kind, name = child.split("/")
    before = models.get(kind, name)
    way = "json" if isinstance(patch, list) else "strategic" if kind == "deployment" else "merge"
    models.kubectl("patch", child, f"--type={way}", "-p", json.dumps(patch))

    def same() -> bool:
        now = models.get(kind, name)
        assert now is not None
        assert before is not None
        return bool(now["spec"] == before["spec"] and now["metadata"]["labels"] == before["metadata"]["labels"])

    eventually(same, f"{child} is as it was", SOON_SECONDS)


def test_what_others_add_beside_ours_stays(operator: Operator, models: Models) -> None:
    models.apply()
    models.wait_ready()
    models.kubectl("rollout", "restart", "deployment/fraud")
    models.wait_settled(operator)
    annotations = spec(models, "deployment")["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


def test_a_foreign_service_is_not_seized_and_its_owner_is_named(operator: Operator, models: Models) -> None:
    models.kubectl("create", "service", "clusterip", "fraud", "--tcp=5:5")
    before = models.get("service")
    models.apply()
    eventually(lambda: models.state("Stalled") == ("True", "NameConflict"), "the conflict is named")
    message = models.conditions()["Stalled"]["message"]
    assert "Service fraud is there already" in message
    assert "kubectl-create" in message
    assert models.get("service") == before


def test_size_passes_from_us_to_the_autoscaler_and_back_without_a_reset(operator: Operator, models: Models) -> None:
    models.apply(replicas=3)
    models.wait_settled(operator)
    models.kubectl("scale", "deployment/fraud", "--replicas=1")
    eventually(lambda: spec(models, "deployment")["replicas"] == 3, "a hand-made size is repaired")
    sizes = models.plane.popen(
        [
            "kubectl",
            "-n",
            models.namespace,
            "get",
            "deployment",
            "fraud",
            "-w",
            "-o",
            "jsonpath={.spec.replicas}{'\\n'}",
        ],
        log=operator.log.with_suffix(".sizes"),
    )
    scaled = {"op": "add", "path": "/spec/scaling", "value": {"maxReplicas": 5}}
    patch = json.dumps([{"op": "remove", "path": "/spec/replicas"}, scaled])
    models.kubectl("patch", "mdep/fraud", "--type=json", "-p", patch)
    eventually(lambda: models.get("hpa"), "the autoscaler is there")
    models.wait_settled(operator)
    assert spec(models, "deployment")["replicas"] == 3
    models.kubectl("patch", "mdep/fraud", "--type=json", "-p", json.dumps(
        [{"op": "remove", "path": "/spec/scaling"}, {"op": "add", "path": "/spec/replicas", "value": 2}]
    ))  # fmt: skip
    eventually(lambda: models.get("hpa") is None, "the autoscaler is gone")
    eventually(lambda: spec(models, "deployment")["replicas"] == 2, "the size is fixed again")
    sizes.stop()
    seen = set(operator.log.with_suffix(".sizes").read_text().split())
    assert seen <= {"3", "2"}, "no reset to 1 on the way"


def test_scale_subresource_shows_and_sets_the_size(operator: Operator, models: Models) -> None:
    models.apply(replicas=1)
    models.wait_ready()
    models.kubectl("scale", "mdep/fraud", "--replicas=3")
    eventually(lambda: spec(models, "deployment")["replicas"] == 3, "the Deployment follows")
    models.wait_settled(operator)
    scale = json.loads(
        models.kubectl(
            "get", "--raw", f"/apis/foresail.dev/v1alpha1/namespaces/{models.namespace}/modeldeployments/fraud/scale"
        )
    )
    assert scale["status"] == {"replicas": 3, "selector": "foresail.dev/model=fraud"}


def test_zero_replicas_are_said_to_be_what_was_asked_for(operator: Operator, models: Models) -> None:
    models.apply(replicas=0)
    eventually(lambda: models.state("Ready") == ("False", "ScaledToZero"), "zero is said")
    assert models.state("Stalled")[0] == models.state("Reconciling")[0] == "False"


def test_a_restarted_operator_writes_nothing(operators: Operators, models: Models) -> None:
    first = operators.start().wait_until_leading()
    models.apply(scaling=SCALING | ON_CPU)
    models.apply("other", replicas=2)
    models.wait_settled(first)
    models.wait_settled(first, "other")
    eventually(lambda: models.state("ScalingActive")[0] == "False", "the autoscaler has looked for metrics in vain")
    first.stop()
    second = operators.start().wait_until_leading()
    eventually(lambda: second.looks() >= 2, "it has looked at both")
    models.wait_settled(second)
    assert second.writes() == 0
    assert second.reads() <= 9  # one list a kind, and what tells that the CRD is there


def test_an_upgraded_operator_restarts_no_model_until_its_spec_changes(operators: Operators, models: Models) -> None:
    first = operators.start(FORESAIL_RUNTIME_IMAGE="foresail-runtime:1").wait_until_leading()
    models.apply()
    models.wait_settled(first)
    generation = (models.get("deployment") or {})["metadata"]["generation"]
    first.stop()
    second = operators.start(FORESAIL_RUNTIME_IMAGE="foresail-runtime:2").wait_until_leading()
    models.wait_settled(second)
    assert (models.get("deployment") or {})["metadata"]["generation"] == generation
    models.kubectl("delete", "deployment/fraud")
    eventually(lambda: models.get("deployment"), "a deleted Deployment comes back")
    (container,) = spec(models, "deployment")["template"]["spec"]["containers"]
    assert container["image"] == "foresail-runtime:1"
    models.apply(serving={"maxQueueSize": 7})

    def image() -> str:
        (one,) = spec(models, "deployment")["template"]["spec"]["containers"]
        found: str = one["image"]
        return found

    eventually(lambda: image() == "foresail-runtime:2", "a changed spec takes the new image")


def test_a_new_version_is_rolled_out_and_the_old_description_is_removed(operator: Operator, models: Models) -> None:
    models.apply()
    models.wait_settled(operator)
    (before,) = configmaps(models)
    models.apply(model={"uri": "https://models.example.com/fraud-2.onnx", "version": "2"})
    eventually(
        lambda: configmaps(models) not in ([before], []) and before not in configmaps(models), "only the new one"
    )
    models.wait_ready()
    model = models.get("mdep")
    assert model is not None
    assert model["status"]["observedGeneration"] == 2
    assert model["status"]["model"]["version"] == "2"


def test_of_many_quick_edits_the_first_goes_out_at_once_and_the_last_wins(operator: Operator, models: Models) -> None:
    models.apply()
    models.wait_settled(operator)
    edit_queue_size(operator, models, 1)
    eventually(lambda: 1 in described_queue_sizes(models), "the first edit is under way", pace.SETTLE_SECONDS - 1)
    for size in range(2, 51):
        edit_queue_size(operator, models, size)
    eventually(lambda: described_queue_sizes(models) == {50}, "the last edit runs, and no other is left")
    models.wait_settled(operator)
    revisions = models.kubectl("get", "replicasets", "-l", "foresail.dev/model=fraud", "-o", "name").split()
    assert len(revisions) <= 25, "edits between are skipped"


def edit_queue_size(operator: Operator, models: Models, size: int) -> None:
    """Change a model, and wait until the operator has looked."""
    looks = operator.looks()
    models.apply(serving={"maxQueueSize": size})
    eventually(lambda: operator.looks() > looks, "the edit is seen")


def described_queue_sizes(models: Models) -> set[int | None]:
    """Return what the descriptions of all the model's revisions say."""
    items = json.loads(models.kubectl("get", "configmaps", "-l", "foresail.dev/model", "-o", "json"))["items"]
    return {json.loads(one["data"]["model.json"]).get("max_queue_size") for one in items}


def test_deleted_and_applied_again_within_a_second(operator: Operator, models: Models) -> None:
    models.apply(scaling=SCALING)
    models.wait_ready()
    models.kubectl("delete", "mdep", "fraud", "--wait=false")
    models.apply(scaling=SCALING)
    models.wait_settled(operator)
    model, deployment = models.get("mdep"), models.get("deployment")
    assert model is not None
    assert deployment is not None
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]


def test_a_spec_that_contradicts_itself_says_what_to_change(operator: Operator, models: Models) -> None:
    models.apply(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}})
    eventually(lambda: models.state("Stalled") == ("True", "InvalidSpec"), "it is said")
    assert "lower the one or raise the other" in models.conditions()["Stalled"]["message"]
    assert models.get("deployment") is None
    models.apply(resources={"limits": {"memory": "1Gi"}})
    models.wait_ready()
    models.apply(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}})
    eventually(lambda: models.state("Ready") == ("False", "InvalidSpec"), "the edit is not taken for ready")
    assert models.state("Available")[0] == "True"


def test_the_schedulers_words_reach_the_condition(operator: Operator, models: Models) -> None:
    models.apply(pod={"nodeSelector": {"disk": "none-such"}})
    eventually(lambda: models.state("Ready") == ("False", "Unschedulable"), "it is said", seconds=10)
    assert "0/3 nodes are available" in models.conditions()["Ready"]["message"]
    assert len(events(models, "involvedObject.kind=ModelDeployment")) == 1


def test_an_exhausted_quota_is_named(operator: Operator, models: Models) -> None:
    models.forbid("pods")
    models.apply()
    eventually(lambda: models.state("Ready") == ("False", "QuotaExceeded"), "it is said", seconds=10)
    assert "exceeded quota: none" in models.conditions()["Ready"]["message"]


def test_a_replica_set_that_a_quota_refuses_is_told_of(operator: Operator, models: Models) -> None:
    models.forbid("replicasets")
    models.apply()
    eventually(lambda: models.state("Ready") == ("False", "QuotaExceeded"), "it is said", seconds=10)
    assert "Failed to create new replica set" in models.conditions()["Ready"]["message"]
    assert models.state("Progressing") == ("False", "QuotaExceeded")


def test_a_pause_is_told_of_while_it_holds_something_up(operator: Operator, models: Models) -> None:
    models.apply()
    models.wait_settled(operator)
    models.kubectl("rollout", "pause", "deployment/fraud")
    wait_quiet(operator)
    assert models.state("Stalled")[0] == "False", "there is nothing to roll out"
    models.apply(serving={"maxQueueSize": 7})
    eventually(lambda: models.state("Stalled") == ("True", "DeploymentPaused"), "it is said", seconds=10)
    assert len(events(models, "reason=DeploymentPaused")) == 1
    models.kubectl("rollout", "resume", "deployment/fraud")
    models.wait_ready()


def test_a_child_that_a_quota_refused_is_made_once_there_is_room(operator: Operator, models: Models) -> None:
    models.forbid("deployments")
    models.apply()
    eventually(lambda: models.state("Ready") == ("False", "QuotaExceeded"), "it is said", seconds=10)
    wait_quiet(operator)
    models.kubectl("delete", "quota", "none")
    models.wait_ready()


def test_a_child_that_the_server_refuses_says_why(operator: Operator, models: Models) -> None:
    models.apply(scaling={"maxReplicas": 2, "metrics": [{"type": "hpa", "hpa": {"type": "Nonsense"}}]})
    eventually(lambda: models.state("Stalled") == ("True", "Refused"), "it is said")
    assert "HorizontalPodAutoscaler fraud" in models.conditions()["Stalled"]["message"]
    assert models.get("deployment"), "what is right is there all the same"


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"affinity": {"nodeAfinity": {}}}, "spec.affinity.nodeAfinity: field not declared in schema"),
        (
            {"topologySpread": [{"maxSkew": 1.5, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]},
            "float64 to int32",
        ),
    ],
    ids=["a field that is none", "a fraction of a whole number"],
)
def test_what_does_not_fit_the_kind_is_said_at_once(
    operator: Operator, models: Models, pod: dict[str, Any], words: str
) -> None:
    models.apply(pod=pod)
    eventually(lambda: models.state("Stalled") == ("True", "Refused"), "it is said", seconds=10)
    recorder.keep(models.get("mdep") or {})
    assert words in models.conditions()["Stalled"]["message"]


def test_a_webhook_that_cant_be_asked_is_said_and_needs_nobody_once_it_is_gone(
    operator: Operator, models: Models
) -> None:
    name = f"away-{models.namespace}"
    models.kubectl("create", "-f", "-", stdin=json.dumps(webhook_nobody_answers(name, models.namespace)))
    try:
        models.apply()
        eventually(lambda: models.state("Ready") == ("False", "WebhookUnavailable"), "it is said", seconds=10)
        recorder.keep(models.get("mdep") or {})
        assert "failed calling webhook" in models.conditions()["Ready"]["message"]
    finally:
        models.kubectl("delete", "validatingwebhookconfiguration", name)
    models.wait_ready()


def test_longest_names_work(operator: Operator, models: Models) -> None:
    name = ".".join(["a" * 60] * 4)[:253]
    models.apply(name)
    models.kubectl("wait", "--for=condition=Ready", f"mdep/{name}", "--timeout=30s")


def test_pods_pass_the_restricted_standard(operator: Operator, models: Models, plane: Access) -> None:
    plane.kubectl("label", "namespace", models.namespace, "pod-security.kubernetes.io/enforce=restricted")
    models.apply(model={"uri": "pvc://claim/a.onnx", "credentials": {"secretName": "s"}}, gpu={"memory": "1Gi"})
    eventually(lambda: models.kubectl("get", "pods", "-o", "name").split(), "a pod is admitted")
    assert models.state("Ready")[1] != "PodRefused"


def test_a_standby_takes_over_and_only_one_writes(operators: Operators, models: Models) -> None:
    leader = operators.start().wait_until_leading()
    standby = operators.start()
    eventually(lambda: standby.get("/readyz") == "ok\n", "the standby is in sync")
    models.apply()
    models.wait_settled(leader)
    assert standby.writes() == 0
    leader.stop()
    eventually(standby.leads, "the standby leads long before the lease would have been over", seconds=10)
    models.apply(replicas=2)
    eventually(lambda: spec(models, "deployment")["replicas"] == 2, "it does the work")


def test_scaling_takes_up_a_model_at_zero(operator: Operator, models: Models) -> None:
    models.apply(replicas=0)
    eventually(lambda: models.state("Ready") == ("False", "ScaledToZero"), "zero is said")
    models.apply(scaling={"minReplicas": 1, "maxReplicas": 2})
    models.wait_ready()
    models.kubectl("scale", "deployment/fraud", "--replicas=0")
    eventually(lambda: spec(models, "deployment")["replicas"] == 1, "a hand-made zero is no sleep")


@pytest.mark.windows
def test_a_frozen_leader_writes_nothing_once_its_lease_is_over_and_leads_again_when_the_next_one_is_killed(
    operators: Operators, models: Models
) -> None:
    leader = operators.start().wait_until_leading()
    standby = operators.start()
    models.apply()
    models.wait_settled(leader)
    before = leader.writes()
    leader.signal(signal.SIGSTOP)
    eventually(standby.leads, "the standby leads after the lease", seconds=25)
    models.apply(replicas=2)
    models.wait_settled(standby)
    leader.signal(signal.SIGCONT)
    eventually(lambda: leader.get("/readyz"), "the old leader answers again")
    eventually(lambda: not leader.leads(), "and does not lead")
    models.apply(replicas=3)
    models.wait_settled(standby)
    assert leader.writes() == before
    standby.kill()
    models.apply(replicas=4)
    eventually(leader.leads, "the other one leads once the lease is over", seconds=25)
    eventually(lambda: spec(models, "deployment")["replicas"] == 4, "it does the work")


def test_a_leading_operator_says_that_it_is_healthy_ready_and_leading(operator: Operator) -> None:
    assert operator.get("/healthz") == "ok\n"
    assert operator.get("/readyz") == "ok\n"
    assert "foresail_operator_leading 1.0" in operator.get("/metrics")


def wait_for_the_garbage_collector(models: Models) -> None:
    """Wait until it knows the Deployments there are: it hears of them in turn, and takes one whose owner is gone."""
    labels = {"app": "canary"}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-4000-8000-000000000000"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "none", "image": "none:1"}]}}
    canary = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "canary", "ownerReferences": [owner]},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    models.kubectl("create", "-f", "-", stdin=json.dumps(canary))
    eventually(lambda: models.get("deployment", "canary") is None, "the canary is taken away")


def test_children_that_were_orphaned_are_adopted_with_their_pods(operator: Operator, models: Models) -> None:
    kinds = ["deployment", "service", "hpa", "pdb"]

    def uids() -> dict[str, str]:
        found = {kind: models.get(kind) for kind in kinds}
        return {kind: one["metadata"]["uid"] for kind, one in found.items() if one is not None}

    def orphan() -> tuple[dict[str, str], str]:
        models.apply(scaling=SCALING)
        models.wait_settled(operator)
        before, pods = uids(), models.kubectl("get", "pods", "-o", "name")
        wait_for_the_garbage_collector(models)
        models.kubectl("delete", "mdep", "fraud", "--cascade=orphan")
        left = uids()
        assert left.items() <= before.items()
        return left, pods

    # Kubernetes' garbage collector takes away what it has not heard of when it is to orphan it.
    left, pods = eventually(lambda: found if "deployment" in (found := orphan())[0] else None, "a Deployment is left")
    models.apply(scaling=SCALING)
    models.wait_settled(operator)
    model = models.get("mdep")
    assert model is not None
    owners = {kind: (models.get(kind) or {})["metadata"]["ownerReferences"][0]["uid"] for kind in kinds}
    assert owners == dict.fromkeys(kinds, model["metadata"]["uid"])
    assert left.items() <= uids().items()
    assert models.kubectl("get", "pods", "-o", "name") == pods


def test_everything_of_a_deleted_model_goes(operator: Operator, models: Models) -> None:
    models.apply(scaling=SCALING)
    models.wait_ready()
    models.kubectl("delete", "mdep", "fraud")
    left = "deployments,services,hpa,pdb,configmaps,pods"
    eventually(
        lambda: not models.kubectl("get", left, "-l", "foresail.dev/model", "-o", "name").split(),
        "children are gone (the garbage collector learns of a new CRD every 30 s: this test stands last)",
        seconds=90,
    )
