"""The HorizontalPodAutoscaler of a model that scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from foresail_operator.api.kinds import AUTOSCALER, DEPLOYMENT, Manifest
from foresail_operator.api.scaling import DEFAULT_CPU_UTILIZATION, Metric, Scaling
from foresail_operator.desired import meta, names

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment


def build(model: ModelDeployment) -> Manifest | None:
    """Return the autoscaler; None for a model of fixed size."""
    scaling = model.spec.scaling
    if scaling is None:
        return None
    target = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name}
    spec = {
        "scaleTargetRef": target | {"name": names.deployment(model.metadata.name)},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [_metric(metric) for metric in scaling.metrics],
        "behavior": _behavior(scaling),
    }
    return meta.child(model, AUTOSCALER, names.autoscaler(model.metadata.name), spec=spec)


def _metric(metric: Metric) -> Manifest:
    match metric.type:
        case "cpu" | "memory":
            target = {"type": "Utilization", "averageUtilization": metric.target or DEFAULT_CPU_UTILIZATION}
            return {"type": "Resource", "resource": {"name": metric.type, "target": target}}
        case "hpa":
            return dict(metric.hpa or {})
        case _:
            assert_never(metric.type)


def _behavior(scaling: Scaling) -> Manifest:
    given = scaling.behavior.plain() if scaling.behavior else {}
    down = given.get("scaleDown", {}) | {"stabilizationWindowSeconds": scaling.scale_down_delay_seconds}
    return given | {"scaleDown": down}
