"""GPUs on nodes that have none: the extended resources and labels are there, and the real scheduler does the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_testbed import manifests
from tests.cluster.kit import Models, Operator, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

NODES: Final = {
    "kwok-91": ({"nvidia.com/gpu": "4"}, {"nvidia.com/gpu.product": "A100", "nvidia.com/gpu.memory": "81559"}),
    "kwok-92": ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu.product": "T4", "nvidia.com/gpu.memory": "15109"}),
    "kwok-93": ({"nvidia.com/mig-1g.10gb": "2"}, {"nvidia.com/gpu.product": "A100-MIG-1g.10gb"}),
}
"""The cards and labels of each node; all of them bear the taint of GPU nodes."""


@pytest.fixture
def gpu_nodes(plane: Access, models: Models) -> Iterator[None]:
    """Add the nodes, and take them away once the test's pods have left them."""
    for name, (cards, labels) in NODES.items():
        node = manifests.kwok_node(int(name.removeprefix("kwok-")))
        metadata = node["metadata"] | {"labels": node["metadata"]["labels"] | labels}
        amounts = node["status"]["capacity"] | cards
        whole = {
            **node,
            "metadata": metadata,
            "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]},
            "status": {"capacity": amounts, "allocatable": amounts},
        }
        plane.kubectl("create", "-f", "-", stdin=json.dumps(whole))
    for name in NODES:
        plane.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=60s")
    yield
    try:
        models.clear()
        eventually(lambda: not models.kubectl("get", "pods", "-o", "name"), "the pods are gone", 90)
    finally:
        plane.kubectl("delete", "node", *NODES)


def places(models: Models, name: str) -> list[str]:
    """Return the nodes of a model's ready pods."""
    return sorted(
        pod["spec"]["nodeName"]
        for pod in models.pods(name)
        if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
    )


def test_each_model_finds_the_card_that_it_asks_for(gpu_nodes: None, operator: Operator, models: Models) -> None:
    wanted: dict[str, tuple[dict[str, Any], str]] = {
        "product": ({"product": "T4"}, "kwok-92"),
        "memory": ({"memory": "80Gi"}, "kwok-91"),
        "count": ({"count": 2}, "kwok-91"),
        "slice": ({"resourceName": "nvidia.com/mig-1g.10gb"}, "kwok-93"),
    }
    for name, (gpu, _) in wanted.items():
        models.apply(name, gpu=gpu)
    for name in wanted:
        models.wait_ready(name)
    assert {name: places(models, name) for name in wanted} == {name: [node] for name, (_, node) in wanted.items()}


def test_a_model_that_no_node_has_a_card_for_says_which(gpu_nodes: None, operator: Operator, models: Models) -> None:
    models.apply("product", gpu={"product": "H100", "memory": "40Gi"})
    models.apply("count", gpu={"count": 8})
    unschedulable = ("False", "Unschedulable")
    eventually(lambda: models.state("Ready", "product") == unschedulable, "it is said of a product and its memory")
    eventually(lambda: models.state("Ready", "count") == unschedulable, "it is said of a number")
    words = models.conditions("product")["Ready"]["message"]
    assert "/6 nodes are available: " in words
    assert (
        "asks for 1 nvidia.com/gpu on a node with nvidia.com/gpu.product H100 and nvidia.com/gpu.memory over" in words
    )
    assert "another card in spec.resources, spec.gpu or spec.pod" in words
    assert "The pod asks for 8 nvidia.com/gpu." in models.conditions("count")["Ready"]["message"]


def test_replicas_spread_over_nodes_and_a_rollout_without_a_spare_card_gets_through(
    gpu_nodes: None, operator: Operator, models: Models
) -> None:
    models.apply("spread", gpu={}, replicas=2)
    models.wait_settled(operator, "spread")
    assert places(models, "spread") == ["kwok-91", "kwok-92"]
    models.clear()
    eventually(lambda: not models.pods("spread"), "the cards are free", 90)
    models.apply("full", gpu={"product": "A100"}, replicas=4)
    models.wait_settled(operator, "full")
    models.apply("full", gpu={"product": "A100"}, replicas=4, serving={"maxQueueSize": 7})
    eventually(lambda: models.state("Reconciling", "full")[0] == "True", "it is under way")
    models.wait_settled(operator, "full")
    model, revisions = (
        models.get("mdep", "full"),
        {pod["metadata"]["labels"]["foresail.dev/revision"] for pod in models.pods("full")},
    )
    assert model is not None
    assert revisions == {model["status"]["revision"]["current"]}
