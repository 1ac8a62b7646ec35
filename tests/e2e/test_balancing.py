"""Each request balanced by itself: HAProxy between a model's Service and its replicas, as installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import load, models
from tests.installation import eventually

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e
PROXIES = "foresail.dev/proxy=mlp"
REPLICAS = "foresail.dev/model=mlp"


def addresses(foresail: Foresail, namespace: str, selector: str) -> set[str]:
    """Return the addresses of the ready pods with a label."""
    found = foresail.objects.pods(namespace, selector)
    return {pod["status"]["podIP"] for pod in found if ready(pod)}


def ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def led_to(foresail: Foresail, namespace: str) -> set[str]:
    """Return where the model's Service leads."""
    label = f"kubernetes.io/service-name={models.NAME}"
    slices = foresail.cluster.get("endpointslices", "-n", namespace, "-l", label)["items"]
    endpoints = [one for each in slices for one in each.get("endpoints") or () if one["conditions"].get("ready")]
    return {address for one in endpoints for address in one["addresses"]}


def behind_proxies(foresail: Foresail, namespace: str) -> None:
    """Wait until the model's Service leads to two proxies."""

    def so() -> tuple[set[str], set[str]]:
        return led_to(foresail, namespace), addresses(foresail, namespace, PROXIES)

    eventually(so, lambda seen: seen[0] == seen[1] and len(seen[0]) == 2, 60, "the Service to lead to two proxies")


def ready_replicas(foresail: Foresail, namespace: str, count: int) -> None:
    def pods() -> int:
        return len(foresail.objects.pods(namespace, REPLICAS))

    eventually(pods, lambda found: found == count, 120, f"{count} replicas and no other")


def test_rest_and_grpc_lose_nothing_while_replicas_and_proxies_come_and_go(foresail: Foresail, namespace: str) -> None:
    kubectl = foresail.cluster.kubectl
    models.start(foresail, namespace, replicas=2, loadBalancing="request")
    behind_proxies(foresail, namespace)
    with load.on(foresail, namespace, models.NAME, clients=6, callers=4) as seen:
        kubectl("scale", "-n", namespace, f"mdep/{models.NAME}", "--replicas=3")
        ready_replicas(foresail, namespace, 3)
        kubectl("scale", "-n", namespace, f"mdep/{models.NAME}", "--replicas=1")
        ready_replicas(foresail, namespace, 1)
        foresail.apply_text(namespace, models.deployment("2", replicas=1, loadBalancing="request"))
        kubectl("rollout", "status", "-n", namespace, f"deployment/{models.NAME}", "--timeout=90s", seconds=100)
        ready_replicas(foresail, namespace, 1)
        kubectl("rollout", "restart", "-n", namespace, f"deployment/{models.NAME}-proxy")
        kubectl("rollout", "status", "-n", namespace, f"deployment/{models.NAME}-proxy", "--timeout=90s", seconds=100)
        behind_proxies(foresail, namespace)
    assert (seen.failures, seen.versions) == ({}, {"1", "2"})
    assert seen.counts["ok"] > 0
    assert seen.counts["calls"] > 0


def test_the_way_to_proxies_and_back_loses_nothing_and_leaves_nothing(foresail: Foresail, namespace: str) -> None:
    models.start(foresail, namespace, replicas=1)
    before = addresses(foresail, namespace, REPLICAS)
    with load.on(foresail, namespace, models.NAME, clients=6, callers=4) as seen:
        foresail.apply_text(namespace, models.deployment(replicas=1, loadBalancing="request"))
        behind_proxies(foresail, namespace)
        foresail.apply_text(namespace, models.deployment(replicas=1))

        def left() -> str:
            kinds = "deployment,poddisruptionbudget,pods,services,configmaps"
            return foresail.cluster.kubectl("get", "-n", namespace, kinds, "-o", "name")

        eventually(left, lambda names: "proxy" not in names and "direct" not in names, 90, "the proxies to be gone")
        assert led_to(foresail, namespace) == before == addresses(foresail, namespace, REPLICAS)
    assert seen.failures == {}


def test_a_model_behind_proxies_sleeps_and_its_first_request_wakes_it(foresail: Foresail, namespace: str) -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 5}
    models.start(foresail, namespace, scaling=scaling, loadBalancing="request")
    behind_proxies(foresail, namespace)
    eventually(
        lambda: foresail.condition(namespace, models.NAME, "Asleep").get("status"),
        lambda found: found == "True",
        60,
        "sleep",
    )
    ready_replicas(foresail, namespace, 0)
    with load.on(foresail, namespace, models.NAME, clients=2, callers=2) as seen:
        foresail.wait_ready(namespace, models.NAME)
    assert seen.failures == {}
    assert seen.counts["ok"] > 0
