"""The Deployment that keeps a model's replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_operator.api.kinds import DEPLOYMENT, Manifest
from foresail_operator.desired import meta, names

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

PROGRESS_DEADLINE_SECONDS: Final = 1800
"""A large model may take that long to be fetched before a replica is ready."""
DEFAULT_REPLICAS: Final = 1


def build(model: ModelDeployment, template: Manifest) -> Manifest:
    """Return the Deployment; its size is only in it while no autoscaler has it."""
    spec: Manifest = {
        "selector": {"matchLabels": meta.selector(model.metadata.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _steps(model)},
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
        "template": template,
    }
    if (size := replicas(model)) is not None:
        spec["replicas"] = size
    return meta.child(model, DEPLOYMENT, names.deployment(model.metadata.name), spec=spec)


def replicas(model: ModelDeployment) -> int | None:
    """Return the fixed size; None while the autoscaler decides it."""
    if model.spec.scaling is not None:
        return None
    return DEFAULT_REPLICAS if model.spec.replicas is None else model.spec.replicas


def _steps(model: ModelDeployment) -> Manifest:
    """Return how a rollout moves: never fewer replicas than wanted, except on GPUs.

    A spare GPU is rarely free, and a surge pod that never finds one would stop the rollout for good; so a
    model on GPUs is replaced in place, one replica at a time.
    """
    if model.spec.gpu is not None:
        return {"maxSurge": 0, "maxUnavailable": 1}
    return {"maxSurge": "25%", "maxUnavailable": 0}
