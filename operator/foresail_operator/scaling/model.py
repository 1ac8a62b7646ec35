"""One model's autoscaling state: samples go in; the served numbers, the size and its reason come out.

Every operator replica keeps one for each model, because each of them answers the HPA; only the leader acts on `rise`.
Pure but for the memory it keeps: time comes in with each call.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from foresail_operator.scaling import decide, growth, leaving
from foresail_operator.scaling.backlog import Backlog
from foresail_operator.scaling.decide import Advice, Bounds, Reading
from foresail_operator.scaling.growth import DEFAULT, DEFAULT_DOWN, Pace
from foresail_operator.scaling.latency import LatencyAllowance
from foresail_operator.scaling.refusals import Refusals
from foresail_operator.scaling.signal import Kind, Sample
from foresail_operator.scaling.steady import CALM_DEVIATIONS, CALM_SECONDS, Steady
from foresail_operator.scaling.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

SILENCE_SECONDS: Final = 5.0
"""A number whose last sample is older than this is not served: the HPA then stands still."""


@dataclasses.dataclass(frozen=True, slots=True)
class Goal:
    """One of `scaling.metrics` that is ours: what is counted, and how much of it a replica should have.

    The target's unit is the kind's: requests, requests a second, milliseconds of p95, waiting requests.
    """

    kind: Kind
    target: float


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a model's owner asked for."""

    goals: tuple[Goal, ...]
    bounds: Bounds
    scale_down_delay_seconds: float = 30.0
    growth: Pace = DEFAULT
    idle_seconds: float | None = None
    """After so much time without a request the model may sleep; None: never."""
    shrinkage: Pace = DEFAULT_DOWN

    @property
    def memory_seconds(self) -> float:
        """How far back the policies look."""
        return max(self.growth.memory_seconds, self.shrinkage.memory_seconds)


class ModelScaler:
    """The memory of one model's load and what follows from it."""

    def __init__(self, plan: Plan, now: float) -> None:
        self.plan = plan
        self._since = now
        self._busy_at = now
        self._sampled_at: float | None = None
        self._stay_seconds = 1.0
        self._before: Sample | None = None
        self._backlog = Backlog()
        self._refusals = Refusals(plan.scale_down_delay_seconds)
        self._sizes = Window(plan.memory_seconds)
        self._wanted = Window(plan.growth.wait_seconds)
        self._rose_at: float | None = None
        self._fell: tuple[float, dict[Kind, float]] | None = None
        self._allowance = {g.kind: LatencyAllowance(g.target / 1000) for g in plan.goals if g.kind is Kind.LATENCY}
        self._steady = {goal.kind: Steady(plan.scale_down_delay_seconds) for goal in plan.goals}

    def replan(self, plan: Plan) -> None:
        """Go on under another plan; what was seen stays, as far as the new plan's signals were seen."""
        before = self.plan
        self.plan = plan
        if plan.memory_seconds > before.memory_seconds:
            self._sizes = Window(plan.memory_seconds)
        if plan.growth.wait_seconds != before.growth.wait_seconds:
            self._wanted = Window(plan.growth.wait_seconds)
        if plan.scale_down_delay_seconds != before.scale_down_delay_seconds:
            self._refusals = Refusals(plan.scale_down_delay_seconds)
        kept = {} if plan.scale_down_delay_seconds != before.scale_down_delay_seconds else self._steady
        old = {goal.kind: goal.target for goal in before.goals}
        for goal in plan.goals:
            if goal.kind is Kind.LATENCY and goal.target != old.get(goal.kind):
                seconds = goal.target / 1000
                self._allowance.setdefault(goal.kind, LatencyAllowance(seconds)).objective_seconds = seconds
                kept = {kind: steady for kind, steady in kept.items() if kind is not Kind.LATENCY}
        missing = [goal.kind for goal in plan.goals if goal.kind not in kept]
        fresh = {kind: Steady(plan.scale_down_delay_seconds) for kind in missing}
        self._steady = {goal.kind: (kept | fresh)[goal.kind] for goal in plan.goals}
        if fresh and self._sampled_at is not None:
            self._since = self._sampled_at  # their memory begins now: the size is kept for as long as the delay

    def take(self, sample: Sample | None, replicas: int, now: float) -> None:
        """Take a sample of the load (None: nobody answered) and the size at that moment."""
        self._note_size(replicas, now)
        if sample is None:
            self._busy_at = now  # whoever can't be asked may have had a request
            return
        self._sampled_at = now
        self._backlog.add(sample)
        self._refusals.take(sample)
        if sample.silent or sample.concurrency > 0 or sample.requests_per_second > 0:
            self._busy_at = now  # one of them that can't be asked may have had a request too
        for goal in self.plan.goals:
            self._take(goal, sample, replicas, now)
        if self.plan.growth.wait_seconds:
            if self._wanted.lowest(now - self.plan.growth.wait_seconds) is None:
                self._wanted.add(now, replicas)  # as the HPA does: nothing more has been asked for so far
            self._wanted.add(now, self.advise(replicas, now).replicas)

    def served(self, kind: Kind, replicas: int, now: float, ahead_seconds: float = 0.0) -> float | None:
        """Return the number to serve the HPA; None when there is none to be trusted.

        The load that is there now asks for what it needs; the past only keeps what is there, it never asks for more
        (else a queue that is long gone would go on adding replicas). Until the memory reaches back as far as the
        scale-down delay the size is kept too: an operator that has just started has not seen a quiet half minute.
        For a minute after a change chance alone does not undo it, neither way.
        """
        if self._sampled_at is None or self._sampled_at < now - SILENCE_SECONDS or kind not in self._steady:
            return None
        steady, present = self._steady[kind], self._asked(kind, replicas, now)
        young = self._since + self.plan.scale_down_delay_seconds > now + ahead_seconds
        kept = self._target(kind) * replicas
        rose = self._rose_at is not None and self._rose_at > now + ahead_seconds - CALM_SECONDS
        if self._chance(kind, now):
            present = min(present, kept)
        refused = self._target(kind) * self._refusals.held(now, ahead_seconds)
        return max(present, kept if young else min(max(steady.held(now, ahead_seconds, calm=rose), refused), kept))

    def advise(self, replicas: int, now: float) -> Advice:
        """Return the size that the HPA would reckon from what it is served, and why; it lets a size of 0 alone."""
        if replicas == 0 and self.plan.bounds.sleeps:
            return Advice(0, f"0 of {self.plan.bounds.maximum}: asleep, the first request wakes it")
        return decide.advise(self._readings(replicas, now), replicas, self.plan.bounds)

    def allowed(self, wanted: int, replicas: int, now: float) -> int:
        """Return how much of an advised change the owner's policies allow now, as the HPA would reckon."""
        if wanted <= replicas:
            return max(wanted, growth.floor(self.plan.shrinkage, self._sizes, replicas, now))
        waited = self._wanted.lowest(now - self.plan.growth.wait_seconds)
        wanted = wanted if waited is None else min(wanted, max(replicas, int(waited)))
        return min(wanted, growth.limit(self.plan.growth, self._sizes, replicas, now))

    def rise(self, replicas: int, now: float) -> Advice | None:
        """Return the size to raise to at once, None if there is no need; at most what growth allows, never less.

        What is there now counts, not the held past, and without a tolerance: the HPA, which is served the held
        number, never undoes a size that its own rounding up gives. Where that is to wait nothing is raised at once.
        """
        if self.plan.growth.wait_seconds:
            return None
        known = [reading.kind for reading in self._readings(replicas, now)]
        goals = [goal for goal in self.plan.goals if goal.kind in known and not self._chance(goal.kind, now)]
        readings = [self._reading(goal, self._asked(goal.kind, replicas, now), replicas, now) for goal in goals]
        advice = decide.advise(readings, replicas, self.plan.bounds, tolerance=0.0)
        allowed = growth.limit(self.plan.growth, self._sizes, replicas, now)
        size = min(advice.replicas, allowed)
        return dataclasses.replace(advice, replicas=size) if size > replicas else None

    def leaving(self, replicas: int, now: float) -> int:
        """Return how many replicas the HPA will take away soon, if the load stays as it is."""
        if not self.plan.shrinkage.policies:
            return 0
        ahead_seconds = min(leaving.AHEAD_SECONDS, self.plan.scale_down_delay_seconds / 2)
        readings = self._readings(replicas, now, ahead_seconds)
        return max(0, replicas - decide.advise(readings, replicas, self.plan.bounds).replicas)

    def idle(self, now: float) -> bool:
        """Return whether the model may sleep: known to have had no request for its idle time."""
        known = self._sampled_at is not None and self._sampled_at >= now - SILENCE_SECONDS
        seconds = self.plan.idle_seconds
        return known and seconds is not None and now - self._busy_at >= seconds

    def _asked(self, kind: Kind, replicas: int, now: float) -> float:
        """Return the present level, or what the replicas carry that refusals ask for, if that is more."""
        return max(self._present(kind, replicas), self._target(kind) * self._refusals.needed(now))

    def _present(self, kind: Kind, replicas: int) -> float:
        """Return the present level, without what a queue adds that came of having had too few replicas."""
        level = self._steady[kind].level
        return level if kind is not Kind.CONCURRENCY else min(level, self._backlog.limit(self._target(kind), replicas))

    def _readings(self, replicas: int, now: float, ahead_seconds: float = 0.0) -> Sequence[Reading]:
        served = ((goal, self.served(goal.kind, replicas, now, ahead_seconds)) for goal in self.plan.goals)
        return [self._reading(goal, value, replicas, now) for goal, value in served if value is not None]

    def _reading(self, goal: Goal, value: float, replicas: int, now: float) -> Reading:
        return Reading(
            goal.kind,
            value,
            goal.target,
            seen=self._present(goal.kind, replicas),
            refused=self._refusals.per_second(now),
            full=self._refusals.needed(now),
            kept=self._refusals.held(now),
        )

    def _chance(self, kind: Kind, now: float) -> bool:
        """Return whether a rise so soon after a fall could be noise: the load is what it was when it was let go."""
        if self._fell is None or self._fell[0] < now - CALM_SECONDS or self._refusals.needed(now):
            return False
        steady = self._steady[kind]
        before = self._fell[1].get(kind, math.inf)
        return steady.level <= before + CALM_DEVIATIONS * steady.deviation(now)

    def _note_size(self, replicas: int, now: float) -> None:
        last = self._sizes.latest()
        if last is not None and replicas < last:
            self._fell = (now, {kind: steady.held(now) for kind, steady in self._steady.items()})
        if last is not None and replicas > last:
            self._rose_at = now
        self._sizes.add(now, replicas)

    def _take(self, goal: Goal, sample: Sample, replicas: int, now: float) -> None:
        steady = self._steady[goal.kind]
        rate = sample.answered_per_second
        if rate > 0:
            self._stay_seconds = sample.concurrency / rate  # Little's law
        stay = self._stay_seconds
        match goal.kind:
            case Kind.CONCURRENCY:
                steady.add(now, min(sample.concurrency, self._backlog.limit(goal.target, replicas)), stay)
            case Kind.QUEUE:
                steady.add(now, sample.queued, stay)
            case Kind.REQUESTS_PER_SECOND:
                # Who is refused tries again: no more of that is believed than as many again as are answered. A count
                # over T has the variance of one that stays half a second.
                steady.add(now, rate + min(rate, sample.refused_per_second), 0.5)
            case Kind.LATENCY:
                allowance, pods = self._allowance[goal.kind], max(1, sample.pods)
                allowance.learn(now, sample.pods, sample.concurrency / pods, rate / pods, sample.latency)
                steady.unit = allowance.unit_milliseconds
                steady.add(now, allowance.value_milliseconds(self._arriving(sample), sample.concurrency), 0.5)

    def _arriving(self, sample: Sample) -> float:
        """Return how many requests a second come: those that are answered, and those by which more are there."""
        before, self._before = self._before, sample
        if before is None or sample.at <= before.at:
            return sample.answered_per_second
        grown = (sample.concurrency - before.concurrency) / (sample.at - before.at)
        return max(0.0, sample.answered_per_second + grown)

    def _target(self, kind: Kind) -> float:
        return next(goal.target for goal in self.plan.goals if goal.kind is kind)
