"""What the API server can't see in a spec: rules that take arithmetic or knowledge of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from foresail_operator.desired import quantities, template, zero

if TYPE_CHECKING:
    import pydantic

    from foresail_operator.api.v1alpha1 import ModelDeployment

_LEAST_BYTES: Final = 2**20
"""Nothing runs in less: 512m of memory is half a byte, 512 half a kilobyte. 0 is no limit, as Kubernetes has it."""


def check(model: ModelDeployment, *, activator: bool = True) -> tuple[str, ...]:
    """Return a sentence for each thing that has to be changed; `activator` says whether this install has one."""
    limits = template.limits(model.spec.resources)
    found = [
        f"spec.resources.requests.{name} is {asked}, more than its limit of {limits[name]}: "
        "lower the one or raise the other"
        for name, asked in template.requests(model.spec.resources).items()
        if name in limits and quantities.parse(asked) > quantities.parse(limits[name])
    ]
    memory = model.spec.resources.limits.memory
    if memory is not None and 0 < quantities.parse(memory) < _LEAST_BYTES:
        found.append(f"spec.resources.limits.memory is {memory}, less than 1Mi: write the unit, e.g. 512Mi")
    if (
        model.spec.gpu is not None
        and model.spec.gpu.memory is not None
        and quantities.parse(model.spec.gpu.memory) <= 0
    ):
        found.append("spec.gpu.memory must be more than nothing: write e.g. 16Gi, or take it away")
    found += _shares_of_nothing(model)
    if zero.sleepy(model) and not activator:
        found.append(
            "spec.scaling.minReplicas is 0, but this install has no activator to wake the model: write 1 or more, or "
            "have the chart installed with activator.create"
        )
    return tuple(found)


def _shares_of_nothing(model: ModelDeployment) -> list[str]:
    """Return a sentence for each metric that is a percentage of a request that no replica makes."""
    if model.spec.scaling is None:
        return []
    # The API server takes the limit where there is no request.
    asked = template.limits(model.spec.resources) | template.requests(model.spec.resources)
    return [
        f"spec.scaling.metrics has {metric.type}, a percentage of the request, but spec.resources asks for no "
        f"{metric.type}: set spec.resources.requests.{metric.type}, e.g. {template.DEFAULT_REQUESTS[metric.type]}, or "
        "take the metric away"
        for metric in model.spec.scaling.metrics
        if metric.type in template.DEFAULT_REQUESTS and quantities.parse(asked.get(metric.type, "0")) <= 0
    ]


def explain(error: pydantic.ValidationError) -> str:
    """Return a sentence for a spec that does not fit the types, which only an older CRD lets through."""
    return "; ".join(f"{_place(one)}: {one['msg']}" for one in error.errors())


def _place(one: Any) -> str:
    return ".".join(str(part) for part in one["loc"])
