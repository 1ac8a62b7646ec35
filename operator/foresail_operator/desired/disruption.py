"""The PodDisruptionBudget: how many replicas a node drain may take at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_operator.api.kinds import DISRUPTION_BUDGET, Manifest
from foresail_operator.desired import meta, names

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

MAX_UNAVAILABLE: Final = "25%"
"""Kubernetes rounds it up, so a model of one replica never blocks a drain."""


def build(model: ModelDeployment) -> Manifest:
    """Return the budget; replicas that are not ready are no reason to keep a node."""
    spec = {
        "maxUnavailable": MAX_UNAVAILABLE,
        "selector": {"matchLabels": meta.selector(model.metadata.name)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return meta.child(model, DISRUPTION_BUDGET, names.disruption_budget(model.metadata.name), spec=spec)
