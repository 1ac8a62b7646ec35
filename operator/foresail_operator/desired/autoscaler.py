"""The HorizontalPodAutoscaler of a model that scales."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from foresail_operator.api.kinds import AUTOSCALER, DEPLOYMENT, Manifest
from foresail_operator.api.scaling import DEFAULT_CPU_UTILIZATION, Metric, Scaling
from foresail_operator.desired import meta, names

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """How the autoscaler of a model that scales on its load reads it; its memory is in the numbers it reads."""

    metrics: tuple[Manifest, ...]
    """Empty where the bounds alone say the size."""
    minimum: int
    maximum: int


def build(model: ModelDeployment, load: Load | None) -> Manifest | None:
    """Return the autoscaler; None for a model of fixed size. `load` is None for one that scales on other things."""
    scaling = model.spec.scaling
    if scaling is None:
        return None
    target = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name}
    others = [found for metric in scaling.metrics if (found := _metric(metric)) is not None]
    metrics = [*(load.metrics if load else ()), *others]
    delay_seconds = scaling.scale_down_delay_seconds if others or load is None else 0
    spec = {
        "scaleTargetRef": target | {"name": names.deployment(model.metadata.name)},
        "minReplicas": load.minimum if load else max(1, scaling.min_replicas),
        "maxReplicas": load.maximum if load else scaling.max_replicas,
        # Without any the server puts one of its own there: stated as none it would differ for ever.
        **({"metrics": metrics} if metrics else {}),
        "behavior": _behavior(scaling, delay_seconds),
    }
    return meta.child(model, AUTOSCALER, names.autoscaler(model.metadata.name), spec=spec)


def _metric(metric: Metric) -> Manifest | None:
    """Return a metric that the autoscaler reads elsewhere; None for one of the load."""
    match metric.type:
        case "cpu" | "memory":
            target = {"type": "Utilization", "averageUtilization": metric.target or DEFAULT_CPU_UTILIZATION}
            return {"type": "Resource", "resource": {"name": metric.type, "target": target}}
        case "hpa":
            return dict(metric.hpa or {})
        case _:
            return None


def _behavior(scaling: Scaling, delay_seconds: int) -> Manifest:
    given = scaling.behavior.plain() if scaling.behavior else {}
    down = given.get("scaleDown", {}) | {"stabilizationWindowSeconds": delay_seconds}
    return given | {"scaleDown": down}
