"""What the suites on a real cluster share."""

from __future__ import annotations

import pytest

from tests import installation


@pytest.fixture(scope="session")
def foresail(cluster: installation.Cluster) -> installation.Foresail:
    """Foresail as a user has it: its images on the cluster's nodes, the chart installed by helm."""
    return installation.install(cluster)
