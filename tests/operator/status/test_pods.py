"""What a pod says about itself."""

from __future__ import annotations

from typing import Any

import pytest

from foresail_operator.api.conditions import Reason
from foresail_operator.desired import meta
from foresail_operator.status import pods
from foresail_runtime.contract import Termination


def raw(
    conditions: dict[str, Any] | None = None, container: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"foresail.dev/revision": "r1"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "fraud-1", "uid": "rs", "controller": True}],
        },
        "spec": {
            "containers": [{"name": "runtime", "resources": {"limits": {"memory": "1Gi"}}}],
            "volumes": [{"name": "description", "configMap": {"name": "fraud-model-1"}}],
        },
        "status": {
            "conditions": [{"type": kind} | value for kind, value in (conditions or {}).items()],
            "containerStatuses": [{"name": "runtime", **container}] if container else [],
            **status,
        },
    }


def trouble(**arguments: Any) -> tuple[Reason, str] | None:
    found = pods.read(raw(**arguments)).trouble
    return (found.reason, found.words) if found else None


def test_a_ready_pod_has_no_trouble_whatever_happened_before() -> None:
    pod = pods.read(
        raw(
            {"Ready": {"status": "True"}},
            {"restartCount": 3, "lastState": {"terminated": {"exitCode": 1}}},
            podIP="10.0.0.1",
        )
    )
    assert (pod.ready, pod.trouble, pod.restarts, pod.address) == (True, None, 3, "10.0.0.1")
    assert (pod.revision, pod.description) == ("r1", "fraud-model-1")


def test_a_pod_that_no_replica_set_has_is_of_no_revision() -> None:
    copied = raw({"Ready": {"status": "True"}})
    del copied["metadata"]["ownerReferences"]
    assert pods.read(copied).revision == ""
    copied["metadata"]["ownerReferences"] = [{"kind": "Node", "name": "n", "uid": "n", "controller": True}]
    assert pods.read(copied).revision == ""


def test_a_pod_that_only_starts_has_no_trouble() -> None:
    assert trouble() is None
    assert trouble(container={"state": {"waiting": {"reason": "ContainerCreating"}}}) is None
    assert trouble(conditions={"PodScheduled": {"status": "True"}}, container={"state": {"running": {}}}) is None


def test_the_schedulers_words_are_kept_verbatim() -> None:
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    scheduled = {"PodScheduled": {"status": "False", "reason": "Unschedulable", "message": words}}
    assert trouble(conditions=scheduled) == (Reason.UNSCHEDULABLE, words)
    assert trouble(conditions={"PodScheduled": {"status": "False", "reason": "SchedulingGated"}}) == (
        Reason.UNSCHEDULABLE,
        "SchedulingGated",
    )


@pytest.mark.parametrize("words", ["0/3 nodes are available.", "0/3 nodes are available"])
def test_a_pod_that_finds_no_card_says_which_it_asks_for(words: str) -> None:
    labels = [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["H100"]},
        {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["37683"]},
        {"key": "zone", "operator": "In", "values": ["a"]},
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": labels}]}}
    pod = raw({"PodScheduled": {"status": "False", "message": words}})
    limits = {"memory": "1Gi", "nvidia.com/gpu": "2"}
    pod["spec"] |= {"containers": [{"name": "runtime", "resources": {"limits": limits}}]}
    pod["spec"] |= {"affinity": {"nodeAffinity": required}}
    found = pods.read(pod).trouble
    assert found is not None
    assert found.words == (
        "0/3 nodes are available. The pod asks for 2 nvidia.com/gpu on a node with nvidia.com/gpu.product H100 and "
        "nvidia.com/gpu.memory over 37683 (MiB)."
    )


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"key": "nvidia.com/gpu.product", "operator": "Exists"}, "nvidia.com/gpu.product Exists"),
        ({"key": "nvidia.com/gpu.memory", "operator": "DoesNotExist"}, "nvidia.com/gpu.memory DoesNotExist"),
        ({"key": "nvidia.com/gpu.memory", "operator": "Lt", "values": ["9000"]}, "nvidia.com/gpu.memory Lt 9000"),
        ({"key": "nvidia.com/gpu.product", "operator": "NotIn", "values": ["T4"]}, "nvidia.com/gpu.product NotIn T4"),
    ],
    ids=["exists", "does not exist", "less", "not in"],
)
def test_an_owners_own_wish_for_a_card_is_said_with_its_operator(wish: dict[str, Any], words: str) -> None:
    pod = raw({"PodScheduled": {"status": "False", "message": "no node."}})
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [wish]}]}}
    pod["spec"] |= {"affinity": {"nodeAffinity": required}}
    found = pods.read(pod).trouble
    assert found == pods.Trouble(
        Reason.UNSCHEDULABLE, f"no node. The pod asks for 1 nvidia.com/gpu on a node with {words}."
    )


@pytest.mark.parametrize(
    "waiting",
    [
        {"reason": "ErrImagePull", "message": "registry says: not found"},
        {
            "reason": "ImagePullBackOff",
            "message": 'Back-off pulling image "a:1": ErrImagePull: registry says: not found',
        },
    ],
)
def test_a_failed_pull_and_its_back_off_say_the_same(waiting: dict[str, str]) -> None:
    assert trouble(container={"state": {"waiting": waiting}}) == (Reason.IMAGE, "registry says: not found")


def test_a_back_off_without_a_cause_keeps_what_it_says() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "a:1"'}
    assert trouble(container={"state": {"waiting": waiting}}) == (Reason.IMAGE, waiting["message"])
    assert trouble(container={"state": {"waiting": {"reason": "InvalidImageName"}}}) == (
        Reason.IMAGE,
        "InvalidImageName",
    )


def test_a_missing_secret_key_is_named() -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'}
    assert trouble(container={"state": {"waiting": waiting}}) == (Reason.CONFIG, 'secret "keys" not found')


def test_a_kill_for_memory_names_the_limit() -> None:
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    assert trouble(container={"lastState": ended, "restartCount": 1}) == (
        Reason.OUT_OF_MEMORY,
        "the container was killed at its memory limit of 1Gi",
    )


def test_a_kill_for_memory_says_what_the_runtime_last_reported() -> None:
    message = Termination("ModelCrashed", "without a word", memory_bytes=900 * 2**20).encode()
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "message": message}}
    assert trouble(container={"lastState": ended}) == (
        Reason.OUT_OF_MEMORY,
        "the container was killed at its memory limit of 1Gi; its runtime last reported 900Mi in use",
    )


def test_the_runtimes_own_reason_becomes_the_reason() -> None:
    message = Termination("DigestMismatch", "expected sha256:a, got sha256:b").encode()
    ended = {"terminated": {"exitCode": 1, "message": message}}
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}
    for container in ({"state": ended}, {"state": back_off, "lastState": ended}, {"lastState": ended}):
        assert trouble(container=container) == (Reason.DIGEST_MISMATCH, "expected sha256:a, got sha256:b")


def test_a_drift_reference_of_another_model_is_told_as_that_and_not_as_a_crash() -> None:
    words = "the drift reference drift-reference.json is of another model: this one has none of age"
    ended = {"terminated": {"exitCode": 1, "message": Termination("DriftReferenceInvalid", words).encode()}}
    assert trouble(container={"state": ended}) == (Reason.DRIFT_REFERENCE_INVALID, words)


def test_a_reason_that_this_operator_does_not_know_is_a_crash_with_its_words() -> None:
    ended = {"terminated": {"exitCode": 1, "message": Termination("BrandNew", "so it is").encode()}}
    assert trouble(container={"state": ended}) == (
        Reason.CRASH,
        "the container ended with exit code 1: BrandNew: so it is",
    )


def test_a_crash_says_its_exit_code_and_the_last_line_of_the_log() -> None:
    ended = {"terminated": {"exitCode": 139, "message": "starting\nSegmentation fault\n"}}
    assert trouble(container={"lastState": ended}) == (
        Reason.CRASH,
        "the container ended with exit code 139: Segmentation fault",
    )
    assert trouble(container={"state": {"terminated": {"exitCode": 1}}}) == (
        Reason.CRASH,
        "the container ended with exit code 1",
    )


def test_an_evicted_pod_says_for_want_of_what() -> None:
    pod = pods.read(raw(phase="Failed", reason="Evicted", message="low on memory"))
    assert pod.ending
    assert pod.trouble == pods.Trouble(Reason.EVICTED, "low on memory")


def test_very_long_words_are_cut() -> None:
    waiting = {"reason": "ErrImagePull", "message": "x" * 5000}
    found = trouble(container={"state": {"waiting": waiting}})
    assert found is not None
    assert len(found[1]) == 1000
    assert found[1].endswith("…")


def test_a_new_version_alone_is_no_news() -> None:
    one = pods.read(raw())
    later = raw()
    later["metadata"]["resourceVersion"] = "8"
    assert pods.read(later).same(one)
    assert not one.same(None)
    assert not pods.read(raw(podIP="10.0.0.1")).same(one)


@pytest.mark.parametrize(("text", "cost"), [("-7", -7), ("0", 0), ("soon", None), (None, None)])
def test_a_pods_deletion_cost_is_read_and_anything_else_in_its_place_is_none(
    text: str | None, cost: int | None
) -> None:
    pod = raw()
    pod["metadata"]["annotations"] = {"other": "1"} | ({} if text is None else {meta.DELETION_COST_ANNOTATION: text})
    assert pods.read(pod).deletion_cost == cost


def test_a_pod_whose_words_can_not_be_read_is_known_nevertheless_and_says_that_this_is_a_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = raw({"Ready": {"status": "False"}}, {"state": "of a shape that no API server sends", "restartCount": 2})
    pod = pods.read(odd)
    assert (pod.name, pod.version, pod.ready, pod.restarts) == ("p", 7, False, 2)
    assert pod.trouble is not None
    assert pod.trouble.reason is Reason.INTERNAL_ERROR
    assert pod.trouble.words.startswith("what pod p says could not be read: AttributeError: ")
    (line,) = caplog.records
    assert (line.levelname, vars(line)["uid"], line.exc_info is not None) == ("ERROR", "u", True)


PULLED: dict[str, Any] = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "mesh:1"'}}
CRASHED: dict[str, Any] = {
    "terminated": {"exitCode": 1, "reason": "Error", "message": "can't reach the control plane\n"}
}


@pytest.mark.parametrize(
    ("place", "found", "reason", "words"),
    [
        ("initContainerStatuses", {"state": PULLED}, Reason.IMAGE, "pulling image"),
        ("initContainerStatuses", {"state": CRASHED}, Reason.CRASH, "exit code 1: can't reach the control plane"),
        (
            "initContainerStatuses",
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": CRASHED, "restartCount": 4},
            Reason.CRASH,
            "exit code 1: can't reach the control plane",
        ),
        (
            "initContainerStatuses",
            {"state": {"running": {}}, "lastState": CRASHED, "restartCount": 4},
            Reason.CRASH,
            "exit code 1: can't reach the control plane",
        ),
        ("containerStatuses", {"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}, Reason.CRASH, "2: Error"),
    ],
)
def test_a_container_that_others_added_and_that_keeps_the_pod_up_is_named(
    place: str, found: dict[str, Any], reason: Reason, words: str
) -> None:
    added: dict[str, Any] = {place: [{"name": "mesh-init", "ready": False, **found}]}
    pod = pods.read(raw(**added))
    assert pod.trouble is not None
    assert pod.trouble.reason is reason
    assert pod.trouble.words.startswith("container mesh-init, which was added to the pod: ")
    assert words in pod.trouble.words
    assert pod.restarts == found.get("restartCount", 0)


@pytest.mark.parametrize(
    "state",
    [{"running": {}}, {"terminated": {"exitCode": 0}}, {"waiting": {"reason": "PodInitializing"}}],
    ids=["runs", "ended well", "waits its turn"],
)
def test_a_container_that_others_added_and_that_is_well_is_no_trouble(state: dict[str, Any]) -> None:
    assert trouble(initContainerStatuses=[{"name": "mesh-init", "ready": False, "state": state}]) is None


def test_our_own_containers_trouble_comes_first() -> None:
    found = trouble(
        container={"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}},
        initContainerStatuses=[{"name": "mesh-init", "ready": False, "state": CRASHED}],
    )
    assert found == (Reason.IMAGE, "no such image")
