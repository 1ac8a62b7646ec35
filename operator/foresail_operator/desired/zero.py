"""Whether a model sleeps, wakes or stays as it is."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment


class Turn(enum.Enum):
    """What is to be done with a model's size."""

    KEEP = enum.auto()
    SLEEP = enum.auto()
    """Set it to 0."""
    WAKE = enum.auto()
    """Set it to 1; the autoscaler, which pauses itself at 0, goes on from there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """What a turn depends on."""

    size: int | None
    """The Deployment's; None while there is none."""
    settled: bool
    """Whether the rollout is complete."""
    wished_for: bool
    """Whether someone waits for a replica at the activator."""
    idle: bool
    """Whether it is known that there was no request for the idle time."""
    armed: bool
    """Whether the activator stands by in the model's Service."""
    proved: bool
    """Whether a replica of this very revision has answered."""


def sleepy(model: ModelDeployment) -> bool:
    """Return whether the model may sleep at all."""
    return model.spec.scaling is not None and model.spec.scaling.min_replicas == 0


def held(model: ModelDeployment) -> bool:
    """Return whether requests wait for it while no replica is ready; not for one that was switched off."""
    return model.spec.hold_requests and model.spec.replicas != 0


def decide(now: Situation, *, sleepy: bool) -> Turn:
    """Return what to do. A model sleeps only when nobody would notice; the least doubt keeps or wakes it.

    A new revision wakes a sleeping model: that it answers has to be seen before status may say so.
    """
    if now.size is None:
        return Turn.KEEP
    if now.size == 0:
        # of a model that may no longer sleep the autoscaler stands still at 0, so it has to be woken too
        return Turn.WAKE if now.wished_for or not sleepy or not now.proved else Turn.KEEP
    quiet = now.idle and now.settled and not now.wished_for
    return Turn.SLEEP if sleepy and quiet and now.armed and now.proved else Turn.KEEP
