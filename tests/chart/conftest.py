"""Fixtures of the chart's tests."""

from __future__ import annotations

import pytest

from tests.chart.charts import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm()
