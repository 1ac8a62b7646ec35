"""spec.scaling: between which sizes a model moves, and on what."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from foresail_operator.api.base import Open, Resource, rule, text

DEFAULT_CPU_UTILIZATION: Final = 80

MetricType = Literal["concurrency", "requestsPerSecond", "latency", "queue", "cpu", "memory", "hpa"]
_WITHOUT_DEFAULT: Final = "['requestsPerSecond', 'latency', 'queue']"


class Metric(Resource):
    """What the size follows: `concurrency` if nothing is given; with several, the largest size wins."""

    type: MetricType = Field(
        description="What a replica carries: `concurrency` (requests in flight and waiting), `requestsPerSecond`, "
        "`queue` (requests waiting), `latency` (its 95th percentile). `cpu`, `memory`: use as a percentage of the "
        "request. `hpa`: any metric of autoscaling/v2.",
    )
    target: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="How much of it a replica shall have: requests, milliseconds, per cent. When absent: for "
        f"concurrency what the replicas measured of themselves, for cpu and memory {DEFAULT_CPU_UTILIZATION}.",
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
        + rule(
            f"has(self.target) || !(self.type in {_WITHOUT_DEFAULT})",
            "set target: requests a second, milliseconds or waiting requests that a replica shall have",
        )
    }


class Policy(Resource):
    """How much may change in a period."""

    type: Literal["Pods", "Percent"] = Field(description="Whether `value` counts replicas or per cent of them.")
    value: int = Field(
        ge=1, le=2**31 - 1, description="Most replicas, or per cent of them, that one period adds or removes."
    )
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

    min_replicas: int = Field(
        default=1,
        ge=0,
        le=10_000,
        description="Fewest replicas. 0: the model sleeps when nobody asks, and the first request wakes it.",
    )
    max_replicas: int = Field(ge=1, le=10_000, description="Most replicas.")
    metrics: tuple[Metric, ...] = Field(
        default=(Metric(type="concurrency"),),
        min_length=1,
        max_length=10,
        description=text(Metric),
        json_schema_extra=rule(
            "self.all(m, m.type == 'hpa' || self.exists_one(n, n.type == m.type))",
            "name each type once, hpa excepted",
        ),
    )
    scale_down_delay_seconds: int = Field(
        default=300,
        ge=0,
        le=3600,
        description="How long the need must have been lower before replicas are taken away.",
    )
    idle_seconds: int = Field(
        default=300,
        ge=5,
        le=86_400,
        description="How long there must have been no request before a model with minReplicas 0 sleeps.",
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
