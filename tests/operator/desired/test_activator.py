"""The slices through which the activator stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foresail_operator.desired import activator
from foresail_operator.desired.activator import Roles

if TYPE_CHECKING:
    from tests.operator.conftest import MakeModel

PODS = ("10.0.0.9", "10.0.0.8", "10.0.0.7")
PORTS = [
    {"name": "http", "port": 10_006, "protocol": "TCP"},
    {"name": "grpc", "port": 10_007, "protocol": "TCP"},
]
FALLBACK = {"ready": False, "serving": True, "terminating": True}
READY = {"ready": True, "serving": True, "terminating": False}


def test_the_slice_joins_the_models_service_as_its_fallback(make_model: MakeModel) -> None:
    made = activator.build(make_model(), Roles(("10.0.0.9", "10.0.0.8"), ("10.0.0.7",)), 3)
    assert made["metadata"]["name"] == "fraud-activator"
    labels = made["metadata"]["labels"]
    assert labels[activator.SERVICE_NAME_LABEL] == "fraud"
    assert labels[activator.SLICE_MANAGED_BY_LABEL] == "foresail"
    assert "service.kubernetes.io/headless" not in labels, "kube-proxy reads it"
    assert made["endpoints"] == [
        {"addresses": ["10.0.0.8"], "conditions": FALLBACK},
        {"addresses": ["10.0.0.9"], "conditions": FALLBACK},
    ]
    assert made["ports"] == PORTS
    assert activator.pair_of(made) == 3
    assert not activator.is_ready(made)


def test_a_slice_that_kube_proxy_does_not_read_has_the_ready_endpoint(make_model: MakeModel) -> None:
    made = activator.build_ready(make_model(), Roles(("10.0.0.9", "10.0.0.8"), ("10.0.0.7",)), 3)
    assert made is not None
    assert made["metadata"]["name"] == "fraud-activator-ready"
    labels = made["metadata"]["labels"]
    assert labels[activator.SERVICE_NAME_LABEL] == "fraud"
    assert labels[activator.SLICE_MANAGED_BY_LABEL] == "foresail"
    assert labels["service.kubernetes.io/headless"] == ""
    assert made["endpoints"] == [{"addresses": ["10.0.0.7"], "conditions": READY}]
    assert made["ports"] == PORTS, "each of the activator's pods listens on them"
    assert activator.is_ready(made)


def test_the_one_pod_that_there_is_is_fallback_and_ready_endpoint_in_one_slice(make_model: MakeModel) -> None:
    roles = activator.assign(make_model(), ("10.0.0.8",), sleeps=True, alone=True)
    assert activator.build(make_model(), roles, 3)["endpoints"] == [{"addresses": ["10.0.0.8"], "conditions": READY}]
    assert activator.build_ready(make_model(), roles, 3) is None


def test_of_a_model_that_may_sleep_one_pod_is_kept_for_who_goes_by_ready_endpoints(make_model: MakeModel) -> None:
    awake, asleep = (activator.assign(make_model(), PODS, sleeps=True, alone=alone) for alone in (False, True))
    assert awake == Roles(asleep.fallback, ())
    assert len(asleep.ready) == 1
    assert sorted(asleep.fallback + asleep.ready) == sorted(PODS), "nobody sees one address in two roles"
    assert activator.assign(make_model(), PODS[::-1], sleeps=True, alone=True).ready == asleep.ready
    waking = activator.assign(make_model(), PODS, sleeps=False, alone=True)
    assert (set(waking.fallback), waking.ready) == (set(asleep.fallback), asleep.ready), "it may not sleep any more"


def test_of_many_models_each_pod_is_kept_for_some(make_model: MakeModel) -> None:
    models = [make_model(name=f"fraud-{number}") for number in range(64)]
    assert {activator.assign(one, PODS, sleeps=True, alone=True).ready[0] for one in models} == set(PODS)


def test_of_a_model_that_never_sleeps_all_pods_are_fallbacks(make_model: MakeModel) -> None:
    assert activator.assign(make_model(), PODS, sleeps=False, alone=False) == Roles(PODS, ())


def test_where_no_pod_is_there_is_nobody_to_be_hidden(make_model: MakeModel) -> None:
    roles = activator.assign(make_model(), (), sleeps=True, alone=True)
    assert activator.build(make_model(), roles, 3)["endpoints"] == []
    assert activator.build_ready(make_model(), roles, 3) is None


def test_the_slice_has_the_family_of_its_addresses(make_model: MakeModel) -> None:
    def family(*addresses: str, before: str | None = None) -> str:
        roles = Roles(addresses, ())
        made: str = activator.build(make_model(), roles, 0, before=before)["addressType"]
        return made

    assert family("fd00::1") == "IPv6"
    assert family("10.0.0.8", before="IPv6") == "IPv4"
    assert family() == "IPv4"
    assert family(before="IPv6") == "IPv6"
    ready = activator.build_ready(make_model(), Roles((), ("fd00::1",)), 0, before="IPv4")
    assert ready is not None
    assert ready["addressType"] == "IPv6"


@pytest.mark.parametrize("port", [9_998, 10_001, 10_000 + 2 * activator.MODELS, None])
def test_ports_that_are_not_of_our_making_are_not_kept(port: int | None) -> None:
    assert activator.pair_of({"ports": [{"name": "http", "port": port}]}) is None


def test_a_slice_without_ports_has_no_pair() -> None:
    assert activator.pair_of({"ports": None}) is None
