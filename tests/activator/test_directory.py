"""What slices say of ports and replicas."""

from __future__ import annotations

from typing import Any

from foresail_activator.directory import Directory, Door
from foresail_operator.desired import activator

FRAUD = ("team", "fraud")


def raw(
    uid: str, *, ours: bool, port: int = 8080, ready: bool | None = True, service: str = "fraud", created: str = ""
) -> dict[str, Any]:
    labels = {activator.SERVICE_NAME_LABEL: service}
    labels |= {activator.SLICE_MANAGED_BY_LABEL: activator.SLICE_MANAGED_BY} if ours else {}
    metadata = {"uid": uid, "namespace": "team", "labels": labels, "creationTimestamp": created}
    endpoints = [{"addresses": ["10.0.0.7"], "conditions": {"ready": ready}}]
    return {"metadata": metadata, "ports": [{"name": "http", "port": port}], "endpoints": endpoints}


def test_our_slices_are_ports_and_the_others_are_replicas() -> None:
    directory = Directory()
    assert directory.note(raw("a", ours=True, port=10_000)) == FRAUD
    assert directory.note(raw("b", ours=False)) == FRAUD
    door = Door(FRAUD, "http")
    assert directory.doors() == {10_000: door}
    assert directory.pods(door) == (("10.0.0.7", 8080),)
    assert directory.pods(Door(FRAUD, "grpc")) == ()


def test_replicas_that_are_not_ready_are_none() -> None:
    directory = Directory()
    directory.note(raw("b", ours=False, ready=False))
    directory.note(raw("c", ours=False, ready=None))
    assert directory.pods(Door(FRAUD, "http")) == ()


def test_a_slice_that_says_the_same_changes_nothing() -> None:
    directory = Directory()
    directory.note(raw("b", ours=False))
    assert directory.note(raw("b", ours=False)) is None


def test_of_two_models_that_were_given_one_port_the_older_has_it() -> None:
    directory = Directory()
    directory.note(raw("a", ours=True, port=10_000, service="late", created="2026-02-01T00:00:00Z"))
    directory.note(raw("b", ours=True, port=10_000, service="early", created="2026-01-01T00:00:00Z"))
    assert directory.doors() == {10_000: Door(("team", "early"), "http")}


def test_what_is_deleted_is_forgotten() -> None:
    directory = Directory()
    directory.note(raw("a", ours=True, port=10_000))
    assert directory.forget("a") == FRAUD
    assert directory.forget("a") is None
    assert directory.doors() == {}


def test_a_slice_of_no_service_is_left_out() -> None:
    slice_ = raw("a", ours=True)
    assert Directory().note(slice_ | {"metadata": slice_["metadata"] | {"labels": {}}}) is None


def test_of_one_models_two_slices_the_one_past_its_proxies_has_the_port() -> None:
    directory = Directory()
    for uid, service, created in (
        ("a", "fraud", "2026-01-01T00:00:00Z"),
        ("b", "fraud-direct", "2026-02-01T00:00:00Z"),
    ):
        slice_ = raw(uid, ours=True, port=10_000, service=service, created=created)
        directory.note(slice_ | {"metadata": slice_["metadata"] | {"annotations": {"foresail.dev/model": "fraud"}}})
    direct = Door(("team", "fraud-direct"), "http", "fraud")
    assert directory.doors() == {10_000: direct}
    directory.forget("b")
    assert directory.doors() == {10_000: Door(FRAUD, "http", "fraud")}
    assert direct.replaces(Door(FRAUD, "http", "fraud"))
    assert not direct.replaces(Door(FRAUD, "grpc", "fraud"))
    assert not direct.replaces(Door(("other", "fraud"), "http", "fraud"))
    assert not Door(FRAUD, "http").replaces(Door(("team", "cats"), "http"))
