"""Whose fields become ours before an apply that was refused is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from foresail_operator.desired import ownership

PORTS = "f:ports"
OURS = {
    "manager": "foresail",
    "operation": "Apply",
    "fieldsV1": {"f:metadata": {"f:labels": {}}, "f:spec": {PORTS: {'k:{"port":80}': {".": {}}}}},
}


def entry(manager: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def test_what_others_wrote_into_the_spec_becomes_ours_and_the_rest_stays_theirs() -> None:
    theirs = {"f:metadata": {"f:annotations": {"f:note": {}}}, "f:spec": {PORTS: {'k:{"port":8000}': {"f:name": {}}}}}
    found = ownership.taken_over([entry("kubectl-edit", theirs), OURS])
    assert found == [
        OURS
        | {
            "fieldsV1": {
                "f:metadata": {"f:labels": {}},
                "f:spec": {PORTS: {'k:{"port":80}': {".": {}}, 'k:{"port":8000}': {"f:name": {}}}},
            }
        },
        entry("kubectl-edit", {"f:metadata": {"f:annotations": {"f:note": {}}}}),
    ]


def test_sizes_and_statuses_are_never_taken() -> None:
    scaled = entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    status = entry("kube-controller-manager", {"f:status": {"f:replicas": {}}}, subresource="status")
    held = {"manager": "foresail-size", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    assert ownership.taken_over([OURS, scaled, status, held]) is None
    edited = entry("kubectl-edit", {"f:spec": {"f:replicas": {}, "f:paused": {}}})
    found = ownership.taken_over([OURS, edited])
    assert found is not None
    assert "f:replicas" not in found[0]["fieldsV1"]["f:spec"]
    assert "f:paused" in found[0]["fieldsV1"]["f:spec"]
    assert found[1] == entry("kubectl-edit", {"f:spec": {"f:replicas": {}}})


def test_where_nobody_else_wrote_anything_there_is_nothing_to_take() -> None:
    assert ownership.taken_over([OURS]) is None
    assert ownership.taken_over([]) is None


@pytest.mark.parametrize(
    ("name", "port", "expected"), [("mine", 8080, True), ("mine", 9000, False), ("runtime", 8080, False)]
)
def test_a_container_beside_ours_with_our_port_is_ours_renamed(name: str, port: int, expected: bool) -> None:
    def manifest(name: str, port: int) -> dict[str, Any]:
        containers = [{"name": "sidecar"}, {"name": name, "ports": [{"containerPort": port}]}]
        return {"spec": {"template": {"spec": {"containers": containers}}}}

    assert ownership.doubled(manifest(name, port), manifest("runtime", 8080)) is expected


def test_what_has_no_pods_has_no_container_twice() -> None:
    assert not ownership.doubled({"data": {}}, {"data": {}})


def test_who_wrote_last_but_us_is_named_with_the_way_it_took() -> None:
    scaled = entry("kube-controller-manager", {}, subresource="scale", time="2026-01-01T00:00:09Z")
    counted = entry("kube-controller-manager", {}, subresource="status", time="2026-01-01T00:00:10Z")
    edited = entry("kubectl-edit", {}, time="2026-01-01T00:00:05Z")
    ours = OURS | {"time": "2026-01-01T00:00:11Z"}
    entries = [edited, scaled, counted, ours]
    assert ownership.rival({"managedFields": entries}) == " by kube-controller-manager (through its scale)"
    assert ownership.rival({"managedFields": [edited, ours]}) == " by kubectl-edit"
    assert ownership.rival({}) == ""
