import datetime as dt
from typing import Any

import pytest

from foresail_operator.scaling import mode
from foresail_operator.scaling.mode import Mode, Service

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
LONG_AGO = NOW - dt.timedelta(days=1)
OURS = Service("foresail", "foresail-metrics")
ADAPTER = Service("monitoring", "prometheus-adapter")
KEDA = Service("keda", "keda-metrics-apiserver")


def api(group: str, version: str, service: Service | None) -> dict[str, Any]:
    named = {"namespace": service.namespace, "name": service.name} if service else None
    return {"spec": {"group": f"{group}.metrics.k8s.io", "version": version, "service": named}}


@pytest.mark.parametrize(
    ("served", "chosen", "words"),
    [
        ([api("custom", "v1beta2", OURS), api("custom", "v1beta1", OURS)], Mode.CUSTOM, "over custom"),
        ([api("custom", "v1beta2", OURS), api("external", "v1beta1", KEDA)], Mode.CUSTOM, "over custom"),
        (
            [api("custom", "v1beta2", OURS), api("custom", "v1beta1", ADAPTER), api("external", "v1beta1", OURS)],
            Mode.EXTERNAL,
            "custom.metrics.k8s.io belongs to Service monitoring/prometheus-adapter",
        ),
        (
            [api("custom", "v1beta1", ADAPTER), api("external", "v1beta1", KEDA)],
            Mode.BOUNDS,
            "and external.metrics.k8s.io belongs to Service keda/keda-metrics-apiserver",
        ),
        ([api("external", "v1beta1", OURS)], Mode.EXTERNAL, "over external"),
        ([api("custom", "v1beta1", None)], Mode.BOUNDS, "belongs to the API server"),
        ([], Mode.BOUNDS, "the operator sets the HPA's bounds itself"),
        (None, Mode.BOUNDS, "no metrics API of its own"),
    ],
)
def test_a_foreign_metrics_api_is_gone_around(served: list[dict[str, Any]] | None, chosen: Mode, words: str) -> None:
    choice = mode.choose(served, OURS, NOW, LONG_AGO)
    assert choice.mode is chosen
    assert words in choice.reason


def unreached(item: dict[str, Any], seconds: float, status: str = "False") -> dict[str, Any]:
    since = (NOW - dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Available", "status": status, "reason": "FailedDiscoveryCheck", "lastTransitionTime": since}
    return item | {"status": {"conditions": [condition]}}


def test_a_metrics_api_that_the_api_server_does_not_reach_is_gone_around_after_two_minutes() -> None:
    custom, external = api("custom", "v1beta2", OURS), api("external", "v1beta1", OURS)
    for seconds, status in ((119, "False"), (3600, "True")):
        found = mode.choose([unreached(custom, seconds, status), external], OURS, NOW, LONG_AGO)
        assert found.mode is Mode.CUSTOM
    assert mode.choose([unreached(custom, 120), external], OURS, NOW, LONG_AGO).mode is Mode.EXTERNAL
    choice = mode.choose([unreached(custom, 120), unreached(external, 500)], OURS, NOW, LONG_AGO)
    assert choice.mode is Mode.BOUNDS
    assert "has not reached custom.metrics.k8s.io for two minutes (FailedDiscoveryCheck)" in choice.reason
    assert "port 8443" in choice.reason
    fresh = mode.choose([unreached(custom, 3600)], OURS, NOW, NOW - dt.timedelta(seconds=119))
    assert fresh.mode is Mode.CUSTOM  # nobody could reach an operator that was away


def test_a_metrics_api_that_does_not_know_its_aggregator_is_gone_around_at_once() -> None:
    served = [api("custom", "v1beta2", OURS), api("external", "v1beta1", OURS)]
    choice = mode.choose(served, OURS, NOW, NOW, distrust="no client certificate authority")
    assert choice.mode is Mode.BOUNDS
    assert choice.reason.endswith("because its metrics API can trust nobody: no client certificate authority")
