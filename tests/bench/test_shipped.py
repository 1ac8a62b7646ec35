"""What the benchmark of the operator takes from the shipped manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.operator import shipped

FILE = Path(__file__).parents[2] / "deploy/foresail.yaml"
ADDRESS = "10.254.0.1"


@pytest.fixture
def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(FILE.read_text()))


def test_the_operator_runs_with_the_activator_and_the_metrics_api_as_the_chart_ships_it(
    manifests: list[dict[str, Any]],
) -> None:
    environment = shipped.environment(manifests)
    assert environment["FORESAIL_ACTIVATOR_SERVICE"] == shipped.ACTIVATOR
    assert environment["FORESAIL_METRICS_SERVICE"] == "foresail-metrics-api"
    assert "FORESAIL_POD_NAME" not in environment, "a pod's field fills it"


def test_all_is_put_on_the_cluster_but_the_operator_to_which_the_metrics_api_leads(
    manifests: list[dict[str, Any]],
) -> None:
    *put, slice_ = shipped.objects(manifests, ADDRESS)
    left_out = [one["metadata"]["name"] for one in manifests if one not in put]
    assert left_out == ["foresail"]
    assert [one["metadata"]["name"] for one in put if one["kind"] == "Deployment"] == [shipped.ACTIVATOR]
    assert slice_["metadata"]["labels"] == {"kubernetes.io/service-name": "foresail-metrics-api"}
    assert (slice_["endpoints"][0]["addresses"], slice_["ports"][0]["port"]) == ([ADDRESS], 8443)
