"""What a spec asks for, in the terms that decisions are made in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foresail_operator.scaling import target
from foresail_operator.scaling.decide import Bounds
from foresail_operator.scaling.growth import DEFAULT, DEFAULT_DOWN, Pace, Policy
from foresail_operator.scaling.model import Goal, Plan
from foresail_operator.scaling.signal import Kind

if TYPE_CHECKING:
    from foresail_operator.api import scaling as api


def plan(scaling: api.Scaling) -> Plan | None:
    """Return the plan of a model that scales on its load; None when none of its metrics is of that.

    A model that may sleep has one in any case, if need be without goals: whether it is idle is its load.
    """
    goals = tuple(
        Goal(Kind(metric.type), float(metric.target or target.UNKNOWN))
        for metric in scaling.metrics
        if metric.type in set(Kind)
    )
    if not goals and scaling.min_replicas:
        return None
    sleeps = scaling.min_replicas == 0  # to 0 and back is no matter of load alone
    bounds = Bounds(max(1, scaling.min_replicas), scaling.max_replicas, sleeps=sleeps)
    idle_seconds = float(scaling.idle_seconds) if sleeps else None
    delay_seconds = float(scaling.scale_down_delay_seconds)
    return Plan(goals, bounds, delay_seconds, growth(scaling.behavior), idle_seconds, shrinkage(scaling.behavior))


def measured(scaling: api.Scaling) -> bool:
    """Return whether the replicas measure how many requests each of them should hold."""
    return any(metric.type == "concurrency" and metric.target is None for metric in scaling.metrics)


def alone(scaling: api.Scaling) -> bool:
    """Return whether the load is all that the model scales on."""
    return all(metric.type in set(Kind) for metric in scaling.metrics)


def growth(behavior: api.Behavior | None) -> Pace:
    """Return how fast a model may grow."""
    return _pace(behavior.scale_up if behavior else None, DEFAULT)


def shrinkage(behavior: api.Behavior | None) -> Pace:
    """Return how fast replicas may be taken away; for how long too many must have been there is the plan's delay."""
    return _pace(behavior.scale_down if behavior else None, DEFAULT_DOWN)


def _pace(given: api.Direction | None, default: Pace) -> Pace:
    if given is None:
        return default
    if given.select_policy == "Disabled":
        return Pace(())
    policies = tuple(
        Policy(float(one.period_seconds), pods=one.value)
        if one.type == "Pods"
        else Policy(float(one.period_seconds), percent=float(one.value))
        for one in given.policies
    )
    wait_seconds = float(given.stabilization_window_seconds or 0)
    return Pace(policies or default.policies, given.select_policy == "Min", wait_seconds)


def with_target(goals: tuple[Goal, ...], measured_target: float | None) -> tuple[Goal, ...]:
    """Return the goals with the target that the replicas measured, if they did."""
    if measured_target is None:
        return goals
    return tuple(Goal(goal.kind, measured_target) if goal.kind is Kind.CONCURRENCY else goal for goal in goals)
