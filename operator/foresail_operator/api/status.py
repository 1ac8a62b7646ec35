"""The status of a ModelDeployment, as the API server keeps it; what its conditions may say is in `conditions`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from foresail_operator.api.base import Resource, text

LONGEST_MESSAGE: Final = 32_768
"""Of a condition, as Kubernetes' own have it."""


class Condition(Resource):
    """One statement about the model, as Kubernetes writes conditions."""

    type: str = Field(max_length=316, description="What is stated.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=1024, description="Why, in one word of the table in the reference.")
    message: str = Field(default="", max_length=LONGEST_MESSAGE, description="Why, in a sentence, with what to do.")
    last_transition_time: str = Field(
        description="When the status last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int | None = Field(
        default=None, description="Generation of the spec it speaks of.", json_schema_extra={"format": "int64"}
    )


class Revision(Resource):
    """Which pod template runs."""

    current: str | None = Field(default=None, description="Revision that answered last.")
    updating: str | None = Field(default=None, description="Revision that is being rolled out.")
    image: str | None = Field(default=None, description="Runtime image, kept until the spec changes what runs.")
    inputs: str | None = Field(
        default=None, description="Digest of the parts of the spec for which `image` was chosen."
    )
    pull_policy: str | None = Field(default=None, description="Kept with `image`; IfNotPresent when absent.")


class ModelStatus(Resource):
    """Which model is served."""

    version: str | None = Field(default=None, description="The version that users see.")
    uri: str | None = Field(default=None, description="Where it came from, without secrets.")
    digest: str | None = Field(default=None, description="What the spec pins it to.")


class ScalingStatus(Resource):
    """The size that the load asks for, as of its last change."""

    desired: int | None = Field(default=None, description="Replicas wanted.")
    signal: str | None = Field(default=None, description="Type of the metric that asks for most.")
    mode: str | None = Field(
        default=None, description="How the autoscaler learns of it: `custom`, `external` (metrics APIs) or `bounds`."
    )
    reason: str | None = Field(default=None, description="Why, in a sentence.")
    last_scale_time: str | None = Field(
        default=None,
        description="When the size wanted last changed: the sentence speaks of that moment.",
        json_schema_extra={"format": "date-time"},
    )


class ColdStart(Resource):
    """The last start while no replica was ready, in seconds."""

    seconds: float | None = Field(default=None, description="From the pod's creation until it was ready.")
    phases: dict[str, float] | None = Field(
        default=None, description="Its parts: schedule, pull, start, fetch, verify, load, warm, ready."
    )


class Status(Resource):
    """What is there."""

    observed_generation: int | None = Field(
        default=None,
        description="Generation of the spec that the status speaks of.",
        json_schema_extra={"format": "int64"},
    )
    conditions: tuple[Condition, ...] = Field(default=(), description=text(Condition))
    replicas: int | None = Field(default=None, description="Replicas that are there.")
    ready_replicas: int | None = Field(default=None, description="Replicas that answer.")
    selector: str | None = Field(default=None, description="Label selector of the pods, for the scale subresource.")
    url: str | None = Field(default=None, description="Address inside the cluster.")
    revision: Revision | None = Field(default=None, description=text(Revision))
    model: ModelStatus | None = Field(default=None, description=text(ModelStatus))
    scaling: ScalingStatus | None = Field(default=None, description=text(ScalingStatus))
    cold_start: ColdStart | None = Field(default=None, description=text(ColdStart))
