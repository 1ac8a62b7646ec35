"""How an HPA is told to read our numbers, for each way that they can take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from foresail_operator.api import v1alpha1
from foresail_operator.desired import quantities
from foresail_operator.scaling import documents
from foresail_operator.scaling.mode import Mode
from foresail_operator.scaling.signal import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foresail_operator.scaling.model import Goal

_CONCURRENCY: Final = documents.NAMES[Kind.CONCURRENCY]


def metrics(goals: Sequence[Goal], mode: Mode, name: str, metric_labels: dict[str, str]) -> list[dict[str, Any]]:
    """Return the autoscaling/v2 metrics for a model's goals; none where the operator sets the bounds itself.

    Args:
        goals: With their targets, measured ones included.
        mode: Which API the HPA shall ask.
        name: The ModelDeployment's.
        metric_labels: Those by which the model's external metrics are selected.
    """
    return [metric for goal in goals if (metric := _metric(goal, mode, name, metric_labels))]


def bounds(mode: Mode, minimum: int, maximum: int, desired: int, *, alone: bool = True) -> tuple[int, int]:
    """Return the HPA's own minReplicas and maxReplicas.

    The minimum is never under 1: an HPA leaves a size of zero alone while its minimum is at least 1, and so do we.
    Where the HPA can't read our numbers both are the size we decided on; the minimum only where other metrics
    (`alone` is false) may ask for more.
    """
    lowest = max(1, minimum)
    if mode is not Mode.BOUNDS:
        return lowest, maximum
    size = min(max(desired, lowest), maximum)
    return size, size if alone else maximum


def target_in_use(autoscaler: Mapping[str, Any] | None) -> float | None:
    """Return the concurrency target that an HPA was given; None when it has none."""
    for metric in ((autoscaler or {}).get("spec") or {}).get("metrics") or ():
        found = metric.get("object") or metric.get("external") or {}
        if _is_concurrency(found):
            return float(quantities.parse(str(found["target"].get("averageValue", "0")))) or None
    return None


def _is_concurrency(found: Mapping[str, Any]) -> bool:
    """Return whether an Object or External metric is our concurrency, and not one of the user's of that name."""
    described = found.get("describedObject")
    ours = documents.EXTERNAL_PREFIX + _CONCURRENCY if described is None else _CONCURRENCY
    kind = v1alpha1.KIND if described is None else described.get("kind")
    return kind == v1alpha1.KIND and found.get("metric", {}).get("name") == ours


def _metric(goal: Goal, mode: Mode, name: str, metric_labels: dict[str, str]) -> dict[str, Any] | None:
    target = {"type": "AverageValue", "averageValue": documents.quantity(goal.target)}
    match mode:
        case Mode.CUSTOM:
            described = {
                "apiVersion": f"{v1alpha1.GROUP}/{v1alpha1.VERSION}",
                "kind": v1alpha1.KIND,
                "name": name,
            }
            metric = {"name": documents.NAMES[goal.kind]}
            return {"type": "Object", "object": {"describedObject": described, "metric": metric, "target": target}}
        case Mode.EXTERNAL:
            selector = {"matchLabels": metric_labels}
            metric_of = {"name": documents.EXTERNAL_PREFIX + documents.NAMES[goal.kind], "selector": selector}
            return {"type": "External", "external": {"metric": metric_of, "target": target}}
        case Mode.BOUNDS:
            return None
