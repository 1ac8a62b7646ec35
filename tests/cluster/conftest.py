"""A control plane with kwok nodes and the CRD in it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

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
    control_plane.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.foresail.dev", "--timeout=20s")
    return control_plane


@pytest.fixture
def operators(plane: Access, namespace: str, tmp_path: pathlib.Path) -> Iterator[kit.Operators]:
    starter = kit.Operators(plane, tmp_path, namespace)
    yield starter
    starter.stop_all()


@pytest.fixture
def operator(operators: kit.Operators) -> kit.Operator:
    """Return a leading operator."""
    return operators.start().wait_until_leading()


@pytest.fixture
def models(plane: Access, namespace: str) -> kit.Models:
    return kit.Models(plane, namespace)


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
