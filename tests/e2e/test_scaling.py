"""Autoscaling on the load, as installed: real pods are asked, the HPA reads the chart's metrics API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import load, models
from tests.installation import eventually

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

SCALING = {
    "maxReplicas": 3,
    "scaleDownDelaySeconds": 10,
    "metrics": [{"type": "requestsPerSecond", "target": 20}],  # six clients and two callers ask far more on any machine
}


def test_replicas_follow_the_load_up_and_down_without_a_lost_request(foresail: Foresail, namespace: str) -> None:
    def autoscaler() -> dict[str, Any]:
        return foresail.objects.get("hpa", namespace, models.NAME) or {}

    def size() -> int:
        return int((foresail.objects.get("deployment", namespace, models.NAME) or {})["spec"]["replicas"])

    def pods() -> list[Any]:
        return foresail.objects.pods(namespace, f"foresail.dev/model={models.NAME}")

    def active() -> tuple[str | None, str | None]:
        found = foresail.condition(namespace, models.NAME, "ScalingActive")
        return found.get("status"), found.get("reason")

    models.start(foresail, namespace, scaling=SCALING)
    eventually(active, lambda found: found == ("True", "ValidMetricFound"), 60, "the autoscaler to read the load")
    (metric,) = autoscaler()["spec"]["metrics"]
    assert metric["object"]["metric"]["name"] == "requests_per_second"
    with load.on(foresail, namespace, models.NAME, clients=2, pause=0.25, name="trickle") as trickle:
        with load.on(foresail, namespace, models.NAME, clients=6, callers=2) as seen:
            eventually(size, lambda found: found == 3, 15, "three replicas to be asked for")
            words = foresail.cluster.kubectl("rollout", "status", "-n", namespace, "deployment/mlp", "--timeout=90s")
            assert "successfully rolled out" in words
            eventually(
                lambda: autoscaler()["status"].get("desiredReplicas"),
                lambda found: found == 3,
                45,
                "the autoscaler agrees",
            )
            assert foresail.model(namespace, models.NAME)["status"]["scaling"]["reason"].startswith("3 of 3: ")
        eventually(size, lambda found: found == 1, 60, "one replica for the load that is left")
        eventually(pods, lambda found: len(found) == 1, 60, "the others to end")
    for one in (seen, trickle):
        assert one.failures == {}
        assert one.counts["ok"] > 0
