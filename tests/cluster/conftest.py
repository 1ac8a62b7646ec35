"""A control plane with kwok nodes and the CRD in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import kit

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from foresail_testbed.access import Access


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
