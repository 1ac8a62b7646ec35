"""Whether a live object is as wanted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from foresail_operator.desired import compare

WANTED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"labels": {"a": "b"}, "annotations": {"foresail.dev/applied": "1"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "automountServiceAccountToken": False,
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "containers": [
                    {
                        "name": "runtime",
                        "args": ["serve"],
                        "env": [{"name": "A", "value": "1"}],
                        "resources": {"limits": {"cpu": "1000m"}},
                    }
                ],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            }
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    live = copy.deepcopy(WANTED)
    *parents, last = path.split("/")
    node: Any = live
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]
    if value is None:
        del node[last]
    elif isinstance(node, list):
        node.append(value)
    else:
        node[last] = value
    return live


POD = "spec/template/spec"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("apiVersion", None),
        ("metadata/labels/other", "x"),
        ("spec/paused", False),
        (f"{POD}/containers/+", {"name": "sidecar"}),
        (f"{POD}/containers/0/env/+", {"name": "B", "value": "2"}),
        (f"{POD}/containers/0/imagePullPolicy", "Always"),
        (f"{POD}/containers/0/resources/limits/cpu", "1"),
        (f"{POD}/tolerations/0/tolerationSeconds", 5),
        (f"{POD}/restartPolicy", "Always"),
    ],
)
def test_what_others_added_or_the_server_filled_in_is_no_difference(path: str, value: Any) -> None:
    assert compare.difference(changed(path, value), WANTED) is None


def test_an_amount_finer_than_the_server_keeps_is_no_difference() -> None:
    cpu = f"{POD}/containers/0/resources/limits/cpu"
    live, wanted = changed(cpu, "1m"), changed(cpu, "0.0001")
    assert compare.difference(live, wanted) is None
    assert compare.difference(changed(cpu, "2m"), wanted) is not None


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("metadata/annotations/foresail.dev~applied", "2", "metadata.annotations.foresail.dev/applied"),
        ("metadata/labels/a", None, "metadata.labels.a"),
        ("spec/replicas", 3, "spec.replicas"),
        ("spec/replicas", True, "spec.replicas"),
        ("spec/template", None, "spec.template"),
        (f"{POD}/automountServiceAccountToken", None, "spec.template.spec.automountServiceAccountToken"),
        (f"{POD}/nodeSelector/more", "x", "spec.template.spec.nodeSelector"),
        (f"{POD}/tolerations/+", {"key": "y"}, "spec.template.spec.tolerations"),
        (f"{POD}/tolerations/0/operator", "Equal", "spec.template.spec.tolerations[0].operator"),
        (f"{POD}/containers/0/args", ["x"], "spec.template.spec.containers[0].args[0]"),
        (f"{POD}/containers/0/env/0/value", "2", "spec.template.spec.containers[0].env[0].value"),
        (f"{POD}/containers/0/name", "other", "spec.template.spec.containers[0]"),
        (f"{POD}/containers/0/resources/limits/cpu", "2", "spec.template.spec.containers[0].resources.limits.cpu"),
        (f"{POD}/containers/0/resources/limits/cpu", "x", "spec.template.spec.containers[0].resources.limits.cpu"),
        (f"{POD}/volumes", "x", "spec.template.spec.volumes"),
    ],
)
def test_what_we_state_and_is_otherwise_is_found_by_its_path(path: str, value: Any, found: str) -> None:
    live = changed("metadata/annotations", {}) if "~" in path else changed(path, value)
    if "~" in path:
        live["metadata"]["annotations"]["foresail.dev/applied"] = value
    assert compare.difference(live, WANTED) == found


def test_empty_values_that_the_server_leaves_out_are_no_difference() -> None:
    wanted = {"spec": {"a": {}, "b": [], "c": ""}}
    assert compare.difference({"spec": {}}, wanted) is None
    assert compare.difference({"spec": {"a": 1}}, wanted) == "spec.a"


def test_a_label_that_says_by_being_there_is_missed_when_it_is_not() -> None:
    wanted = {"metadata": {"labels": {"service.kubernetes.io/headless": ""}}}
    assert compare.difference(wanted, wanted) is None
    assert compare.difference({"metadata": {"labels": {}}}, wanted) == "metadata.labels.service.kubernetes.io/headless"


def test_a_volume_of_another_kind_is_a_difference() -> None:
    wanted = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    assert compare.difference({"volumes": [{"name": "scratch", "emptyDir": {}}]}, wanted) is None
    assert compare.difference({"volumes": [{"name": "scratch", "hostPath": {"path": "/"}}]}, wanted) == (
        "volumes[0].emptyDir"
    )


def test_services_ports_are_merged_by_name() -> None:
    wanted = {"spec": {"ports": [{"name": "http", "port": 80}]}}
    live = {"spec": {"ports": [{"name": "extra", "port": 1}, {"name": "http", "port": 80, "nodePort": 3}]}}
    assert compare.difference(live, wanted) is None
