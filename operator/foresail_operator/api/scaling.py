"""spec.scaling: between which sizes a model moves, and on what."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from foresail_operator.api.base import Open, Resource, rule, text

DEFAULT_CPU_UTILIZATION: Final = 80

MetricType = Literal["cpu", "memory", "hpa"]


class Metric(Resource):
    """One thing that is measured. With several, the largest number of replicas wins."""

    type: MetricType = Field(
        description="`cpu` or `memory`: use as a percentage of what a replica requests. "
        "`hpa`: any metric of autoscaling/v2, as it is in the field `hpa`.",
    )
    target: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=f"Percentage to hold, for cpu and memory. When absent: {DEFAULT_CPU_UTILIZATION}.",
    )
    hpa: Open | None = Field(
        default=None,
        description="A metric of a HorizontalPodAutoscaler (autoscaling/v2), e.g. {type: Pods, pods: {…}}.",
    )
    model_config = Resource.model_config | {
        "json_schema_extra": rule(
            "(self.type == 'hpa') == has(self.hpa)",
            "a metric of type hpa has its autoscaling/v2 metric in the field hpa, and no other type has that field",
        )
        + rule(
            "!(self.type == 'hpa' && has(self.target))",
            "take target away: a metric of type hpa has its target inside the field hpa",
        )
    }


class Policy(Resource):
    """How much may change in a period."""

    type: Literal["Pods", "Percent"] = Field(description="Whether `value` counts replicas or per cent of them.")
    value: int = Field(ge=1, description="Most replicas, or per cent of them, that one period adds or removes.")
    period_seconds: int = Field(ge=1, le=1800, description="Length of the period.")


class Direction(Resource):
    """Limits of one direction, as autoscaling/v2 has them."""

    stabilization_window_seconds: int | None = Field(
        default=None, ge=0, le=3600, description="For how long past advice counts as well."
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(
        default=None, description="Which policy wins; Disabled: never in this direction."
    )
    policies: tuple[Policy, ...] = Field(default=(), max_length=10, description=text(Policy))


class Behavior(Resource):
    """How fast the size may change, as a HorizontalPodAutoscaler has it."""

    scale_up: Direction | None = Field(default=None, description="Limits of growing.")
    scale_down: Direction | None = Field(default=None, description="Limits of shrinking.")


class Scaling(Resource):
    """Lets a HorizontalPodAutoscaler move the number of replicas between two bounds. Not together with `replicas`."""

    min_replicas: int = Field(default=1, ge=1, le=10_000, description="Fewest replicas.")
    max_replicas: int = Field(ge=1, le=10_000, description="Most replicas.")
    metrics: tuple[Metric, ...] = Field(
        default=(Metric(type="cpu", target=DEFAULT_CPU_UTILIZATION),),
        min_length=1,
        max_length=10,
        description=text(Metric),
    )
    scale_down_delay_seconds: int = Field(
        default=300,
        ge=0,
        le=3600,
        description="How long the need must have been lower before replicas are taken away.",
    )
    behavior: Behavior | None = Field(default=None, description=text(Behavior))
    model_config = Resource.model_config | {
        "json_schema_extra": rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be more than maxReplicas: lower the one or raise the other",
        )
        + rule(
            "!(has(self.behavior) && has(self.behavior.scaleDown) && "
            "has(self.behavior.scaleDown.stabilizationWindowSeconds))",
            "write the delay as scaling.scaleDownDelaySeconds and take "
            "behavior.scaleDown.stabilizationWindowSeconds away",
        )
    }
