"""No request is lost by us: new versions, fewer replicas, deleted pods and drained nodes, all under load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_testbed import cluster as testbed
from tests import installation
from tests.e2e import load, models
from tests.installation import eventually

if TYPE_CHECKING:
    from tests.installation import Cluster, Foresail

pytestmark = pytest.mark.e2e

CLIENTS: Final = 6
CALLERS: Final = 2
"""HTTP connections, and channels of gRPC, that ask all the while."""


def settled(foresail: Foresail, namespace: str, replicas: int, version: str) -> None:
    """Wait until exactly these replicas run the version and no other pod of the model is left."""

    def pods() -> list[Any]:
        found = foresail.objects.pods(namespace, f"foresail.dev/model={models.NAME}")
        return [
            (
                pod["metadata"]["labels"]["app.kubernetes.io/version"],
                pod["status"].get("phase"),
                "deletionTimestamp" in pod["metadata"],
            )
            for pod in found
        ]

    wanted = [(version, "Running", False)] * replicas
    eventually(pods, lambda seen: seen == wanted, 120, f"{replicas} replicas of version {version}")


@pytest.mark.parametrize("replicas", [1, 2])
def test_new_version_takes_over_without_a_lost_request(foresail: Foresail, namespace: str, replicas: int) -> None:
    models.start(foresail, namespace, replicas=replicas)
    with load.on(foresail, namespace, models.NAME, CLIENTS, CALLERS) as seen:
        foresail.apply_text(namespace, models.deployment("2", replicas=replicas))
        settled(foresail, namespace, replicas, "2")
        foresail.wait_ready(namespace, models.NAME)
    assert (seen.failures, seen.versions) == ({}, {"1", "2"})


def test_fewer_replicas_lose_no_request(foresail: Foresail, namespace: str) -> None:
    models.start(foresail, namespace, replicas=3)
    with load.on(foresail, namespace, models.NAME, CLIENTS, CALLERS) as seen:
        foresail.cluster.kubectl("scale", "-n", namespace, f"mdep/{models.NAME}", "--replicas=1")
        settled(foresail, namespace, 1, "1")
    assert seen.failures == {}
    assert seen.counts["ok"] > 0


def test_deleted_pod_loses_no_request_and_is_replaced(foresail: Foresail, namespace: str) -> None:
    models.start(foresail, namespace, replicas=2)
    with load.on(foresail, namespace, models.NAME, CLIENTS, CALLERS) as seen:
        name = foresail.objects.pods(namespace, f"foresail.dev/model={models.NAME}")[0]
        foresail.cluster.kubectl("delete", "pod", "-n", namespace, name["metadata"]["name"], "--wait=false")
        settled(foresail, namespace, 2, "1")
    assert seen.failures == {}


@pytest.mark.parametrize("replicas", [1, 2])
def test_drained_node_loses_no_request(foresail: Foresail, namespace: str, replicas: int) -> None:
    kubectl, spare = foresail.cluster.kubectl, spare_node(foresail.cluster)
    models.start(foresail, namespace, replicas=replicas)
    foresail.cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{models.NAME}", "--timeout=60s")
    if replicas > 1:
        eventually(lambda: nodes(foresail, namespace), lambda seen: spare in seen, 60, f"a replica on {spare}")
    found = nodes(foresail, namespace)
    node = spare if spare in found else found.pop()
    patience = ("--timeout=100s", "--ignore-daemonsets", "--delete-emptydir-data")
    try:
        with load.on(foresail, namespace, models.NAME, CLIENTS, CALLERS) as seen:
            kubectl("drain", node, "--pod-selector=foresail.dev/model", *patience)
            settled(foresail, namespace, replicas, "1")
            assert node not in nodes(foresail, namespace)
    finally:
        kubectl("uncordon", node)
    assert seen.failures == {}


def nodes(foresail: Foresail, namespace: str) -> set[str]:
    """Return the nodes that the model's replicas are on."""
    found = foresail.objects.pods(namespace, f"foresail.dev/model={models.NAME}")
    return {pod["spec"].get("nodeName", "") for pod in found}


def spare_node(cluster: Cluster) -> str:
    """Return a node that the cluster can do without; one is added to a cluster of ours, another's must have two."""
    names: list[str] = [node["metadata"]["name"] for node in installation.open_nodes(cluster)]
    if len(names) > 1:
        return names[-1]
    assert isinstance(cluster, testbed.Cluster), "a node is drained here: use a cluster with two nodes that take pods"
    added = cluster.add_node()
    installation.load_images(cluster)
    return added
