"""What the suites on a real cluster share."""

from __future__ import annotations

import pytest

from foresail_testbed.cluster import unique_name
from foresail_testbed.options import Options
from tests import installation


@pytest.fixture(scope="session")
def foresail(cluster: installation.Cluster) -> installation.Foresail:
    """Foresail as a user has it: its images on the cluster's nodes, the chart installed by helm."""
    return installation.install(cluster)


@pytest.fixture(scope="session")
def control_plane_options() -> Options:
    """One shape for all tests of a session, for they share the control plane: kwok's nodes make pods ready."""
    audited = ("system:serviceaccount:foresail-audited:operator",)
    return Options(name=unique_name("operator"), nodes=0, kwok_nodes=3, audit_users=audited)
