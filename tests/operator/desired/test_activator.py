"""The slice through which the activator stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foresail_operator.desired import activator

if TYPE_CHECKING:
    from tests.operator.conftest import MakeModel


def test_the_slice_joins_the_models_service_as_its_fallback(make_model: MakeModel) -> None:
    made = activator.build(make_model(), ("10.0.0.9", "10.0.0.8"), 3)
    assert made["metadata"]["name"] == "fraud-activator"
    labels = made["metadata"]["labels"]
    assert labels[activator.SERVICE_NAME_LABEL] == "fraud"
    assert labels[activator.SLICE_MANAGED_BY_LABEL] == "foresail"
    conditions = {"ready": False, "serving": True, "terminating": True}
    assert made["endpoints"] == [
        {"addresses": ["10.0.0.8"], "conditions": conditions},
        {"addresses": ["10.0.0.9"], "conditions": conditions},
    ]
    assert made["ports"] == [
        {"name": "http", "port": 10_006, "protocol": "TCP"},
        {"name": "grpc", "port": 10_007, "protocol": "TCP"},
    ]
    assert activator.pair_of(made) == 3


def test_the_slice_has_the_family_of_its_addresses(make_model: MakeModel) -> None:
    assert activator.build(make_model(), ("fd00::1",), 0)["addressType"] == "IPv6"
    assert activator.build(make_model(), ("10.0.0.8",), 0, before="IPv6")["addressType"] == "IPv4"
    assert activator.build(make_model(), (), 0)["addressType"] == "IPv4"
    assert activator.build(make_model(), (), 0, before="IPv6")["addressType"] == "IPv6"


@pytest.mark.parametrize("port", [9_998, 10_001, 10_000 + 2 * activator.MODELS, None])
def test_ports_that_are_not_of_our_making_are_not_kept(port: int | None) -> None:
    assert activator.pair_of({"ports": [{"name": "http", "port": port}]}) is None


def test_a_slice_without_ports_has_no_pair() -> None:
    assert activator.pair_of({"ports": None}) is None
