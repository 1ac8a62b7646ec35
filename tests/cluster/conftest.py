"""A control plane with kwok nodes and the CRD in it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_operator.desired import activator
from foresail_testbed import plugin
from tests.cluster import kit

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from foresail_testbed.access import Access

POD_ADDRESSES: Final = "10.128.0.0/10"
"""Those that kwok gives."""


@pytest.fixture(scope="session")
def plane(control_plane: Access) -> Access:
    """Return the control plane with the CRD installed and served."""
    control_plane.kubectl("apply", "-f", str(kit.ROOT / "crds"))
    control_plane.wait_for_definition(kit.DEFINITION)
    return control_plane


@pytest.fixture(scope="module")
def lasting(plane: Access, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Lasting]:
    started = kit.Lasting(plane, tmp_path_factory.mktemp("operator"))
    yield started
    started.stop()


@pytest.fixture
def operators(plane: Access, namespace: str, lasting: kit.Lasting, tmp_path: pathlib.Path) -> Iterator[kit.Operators]:
    """Return what starts operators of the test's own; no other one runs beside them."""
    lasting.stop()
    starter = kit.Operators(plane, tmp_path, namespace)
    yield starter
    starter.stop_all()


@pytest.fixture
def operator(request: pytest.FixtureRequest, lasting: kit.Lasting) -> kit.Operator:
    """Return a leading operator, which may have been at work for the tests before.

    On a cluster that was there before the tests it sees the test's namespace and no other: the rest is not ours.
    """
    if any(os.environ.get(name) for name in plugin.VARIABLES):
        starter: kit.Operators = request.getfixturevalue("operators")
        return starter.start().wait_until_leading()
    return lasting.leading()


@pytest.fixture
def models(plane: Access, namespace: str) -> Iterator[kit.Models]:
    made = kit.Models(plane, namespace)
    yield made
    made.clear()


@pytest.fixture
def carry(plane: Access, tmp_path: pathlib.Path) -> Iterator[Callable[..., object]]:
    """Let kwok's pods say their load; return a function that sets how many requests all of them carry together.

    Its second argument, `uneven`, gives each pod more of them than the one before.
    """
    file = tmp_path / "load"
    file.write_text("0")
    plane.execute(["ip", "route", "replace", "local", POD_ADDRESSES, "dev", "lo"])
    command = [sys.executable, "-m", "tests.cluster.stub_pods", str(file)]
    pods = plane.popen(command, log=tmp_path / "pods.log")
    yield lambda requests, way="": file.write_text(f"{requests} {way}")
    pods.kill()


@pytest.fixture
def place(models: kit.Models) -> None:
    """Put there what the chart does: the activator's Service with an endpoint, and the ConfigMap of wishes."""
    name = {"name": "foresail-activator"}
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": name,
            "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": name | {"labels": {activator.SERVICE_NAME_LABEL: "foresail-activator"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in kit.ADDRESSES],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "foresail-wake", "labels": {"foresail.dev/wishes": "true"}},
        },
    ]
    models.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
