"""The half-second look: loads in, numbers for the metrics API and immediate rises out.

pods ── Scraper ──> signal.combine ──> ModelScaler ──┬──> MetricsApi (any replica)
├──> burst.raise_to (the leader)
└──> status.scaling, wake and sleep (the leader's reconcile)
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from foresail_operator import errors
from foresail_operator.scaling import signal, target
from foresail_operator.scaling.leaving import Leaving
from foresail_operator.scaling.model import Goal, ModelScaler, Plan
from foresail_operator.scaling.signal import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from foresail_operator.scaling.decide import Advice
    from foresail_operator.scaling.leaving import Candidate
    from foresail_operator.scaling.metrics_api import Described
    from foresail_operator.scaling.scrape import Pod, Scraper
    from foresail_runtime.contract import Load

_LOG: Final = logging.getLogger(__name__)
Key: TypeAlias = tuple[str, str]
"""Namespace and name of a ModelDeployment."""
TARGET_CHANGE: Final = 0.25
"""A measured target replaces the one in use only when it differs by more."""
RISES_LIMIT: Final = 16
"""So many Deployments are raised at a time."""
AGAIN_SECONDS: Final = 60.0
"""How often a bug at one model is told of again: looks are taken twice a second."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scaled:
    """A model that scales on its load, as the operator's cache has it."""

    key: Key
    plan: Plan
    """A concurrency goal without a number of its owner's carries target.UNKNOWN and `measured` below."""
    replicas: int
    """The Deployment's spec.replicas."""
    pods: tuple[Pod, ...]
    """The ready ones; `key` is the pod's uid, `latency` set where the plan has a latency goal."""
    queue_size: int
    """How many requests may wait in a pod; the next one is refused."""
    measured: bool = False
    """Whether the concurrency target comes from the pods' own measurement."""
    target: float | None = None
    """That target as the HPA has it; None while it has none."""
    described: Described | None = None
    """How the metrics API calls it; None when it is not to be found there."""
    proxies: tuple[Pod, ...] = ()
    """The ready proxies in front of the pods, at which requests wait too."""
    candidates: tuple[Candidate, ...] = ()
    """The ready pods, as far as it matters which of them go first."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """What status.scaling says of a model."""

    desired: int
    size: int
    """How much of that the owner's policies allow now."""
    reason: str
    kind: Kind | None
    load: float | None
    """What it carries now, in the unit of the concurrency signal; None when unknown."""
    silent: int
    """Ready pods that do not answer."""
    idle: bool


class Mark(Protocol):
    """Writes the deletion cost of one pod of a model; None takes it away."""

    async def __call__(self, key: Key, candidate: Candidate, cost: int | None, /) -> None:
        """Write it."""


class Control:
    """Keeps a ModelScaler for each model; `rise` and `mark` are called, without being waited for, with what to do."""

    def __init__(
        self,
        scraper: Scraper,
        scaled: Callable[[], Iterable[Scaled]],
        rise: Callable[[Key, Advice], Awaitable[None]],
        leads: Callable[[], bool],
        mark: Mark,
    ) -> None:
        self._scraper = scraper
        self._mark = mark
        self._scaled = scaled
        self._rise = rise
        self._leads = leads
        self._scalers: dict[Key, ModelScaler] = {}
        self._models: dict[Key, Scaled] = {}
        self._samples: dict[Key, signal.Sample | None] = {}
        self._targets: dict[Key, float] = {}
        self._rising: dict[Key, asyncio.Task[None]] = {}
        self._said: dict[Key, Advice] = {}
        """The advice in the words of the moment at which its size was first asked for: a second later what asked for
        it may be gone, and all there is to say is that the size is held."""
        self._leaving: dict[Key, Leaving] = {}
        self._marking: dict[Key, asyncio.Task[None]] = {}
        self._stumbled_at: dict[Key, float] = {}
        """When a bug at a model was told of last."""

    async def run(self, interval_seconds: float = 0.5) -> None:
        """Look again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        scraping = asyncio.create_task(self._scraper.run(), name="scrape")
        due = loop.time()
        try:
            while not scraping.done():
                self.look(loop.time())
                due = max(due + interval_seconds, loop.time())
                await asyncio.sleep(due - loop.time())
            await scraping
        finally:
            tasks = (scraping, *self._rising.values(), *self._marking.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def look(self, now: float) -> None:
        """Take one look at every model."""
        self._models = {model.key: model for model in self._scaled()}
        self._scraper.watch(pod for model in self._models.values() for pod in (*model.pods, *model.proxies))
        for gone in self._scalers.keys() - self._models.keys():
            del self._scalers[gone]
            for memory in (self._targets, self._said, self._leaving, self._samples, self._stumbled_at):
                memory.pop(gone, None)
        for key, model in self._models.items():
            try:
                self._models[key] = resolved = self._resolved(model)
                self._look(key, resolved, now)
            except Exception:  # noqa: BLE001  # the other models are looked at; see there
                self._stumble(key, now)

    def models(self, namespace: str) -> Iterable[Described]:
        """Return the models of a namespace, for the metrics API."""
        return [
            model.described
            for model in self._models.values()
            if model.described is not None and model.key[0] == namespace
        ]

    def number(self, namespace: str, name: str, kind: Kind) -> float | None:
        """Return what is served for a model now, for the metrics API; None when it is unknown."""
        key = (namespace, name)
        if key not in self._scalers:
            return None
        return self._scalers[key].served(kind, self._models[key].replicas, asyncio.get_running_loop().time())

    def known(self) -> Iterable[Key]:
        """Return the models that were there at the last look."""
        return self._models.keys()

    def outlook(self, key: Key) -> Outlook | None:
        """Return what there is to say of a model; None when it does not scale on its load."""
        if key not in self._scalers:
            return None
        now = asyncio.get_running_loop().time()
        try:
            return self._outlook(key, now)
        except Exception:  # noqa: BLE001  # whoever asks, asks of all models; see there
            self._stumble(key, now)
            return self._outlook(key, now)

    def concurrency_target(self, key: Key) -> float | None:
        """Return the target in use where the pods measure it; the HPA must be given the same one."""
        return self._targets.get(key)

    def _outlook(self, key: Key, now: float) -> Outlook:
        model, sample = self._models[key], self._samples[key]
        advice, said = self._scalers[key].advise(model.replicas, now), self._said.get(key)
        if said is None or (said.replicas, said.kind) != (advice.replicas, advice.kind):
            said = self._said[key] = advice
        return Outlook(
            desired=advice.replicas,
            size=self._scalers[key].allowed(advice.replicas, model.replicas, now),
            reason=said.reason,
            kind=advice.kind,
            load=sample.concurrency if sample else None,
            silent=sample.silent if sample else len(model.pods),
            idle=self._scalers[key].idle(now),
        )

    def _stumble(self, key: Key, now: float) -> None:
        """Let a model at which a bug of ours showed stand still, as one of whose load nothing is known.

        What is remembered of it is dropped: it may be what the bug spoilt, and would be met at every look from now on.
        Its number is then not served, and its gauges are not there, until a look goes well again.
        """
        if now - self._stumbled_at.get(key, -math.inf) >= AGAIN_SECONDS:
            self._stumbled_at[key] = now
            _LOG.exception("a look at a model's load failed", extra={"namespace": key[0], "model": key[1]})
        for memory in (self._targets, self._leaving):
            memory.pop(key, None)
        self._scalers[key], self._samples[key] = ModelScaler(self._models[key].plan, now), None

    def _look(self, key: Key, model: Scaled, now: float) -> None:
        scaler = self._scalers.get(key)
        if scaler is None:
            scaler = self._scalers[key] = ModelScaler(model.plan, now)
        elif scaler.plan != model.plan:
            scaler.replan(model.plan)
            self._said.pop(key, None)
        sample = self._samples[key] = self._sample(model, now)
        scaler.take(sample, model.replicas, now)
        self._part(key, model, scaler, now)
        if self._leads() and model.replicas > 0 and key not in self._rising and len(self._rising) < RISES_LIMIT:
            advice = scaler.rise(model.replicas, now)
            if advice is not None:
                self._start_rise(key, advice)

    def _sample(self, model: Scaled, now: float) -> signal.Sample | None:
        """Return what a model carries, at its pods and waiting for them; None when it can't be known."""
        at_proxies = self._combined(model.proxies, now)
        if at_proxies is None:
            return None
        held = round(at_proxies.queued)
        if not model.pods and model.replicas > 0 and not held:
            return None
        return self._combined(model.pods, now, held, at_proxies.refused_per_second)

    def _combined(self, pods: tuple[Pod, ...], now: float, held: int = 0, refused: float = 0.0) -> signal.Sample | None:
        keys = [pod.key for pod in pods]
        return signal.combine(self._scraper.rates(keys), now, held, self._scraper.new(keys, now), refused)

    def _part(self, key: Key, model: Scaled, scaler: ModelScaler, now: float) -> None:
        """Say of the pods that are about to go which go first; one model's costs are written by one task at a time."""
        if not self._leads() or model.replicas < 2 or key in self._marking or len(self._marking) >= RISES_LIMIT:
            return
        number = scaler.leaving(model.replicas, now)
        remembered = self._leaving.setdefault(key, Leaving())
        rates = self._scraper.rates(one.uid for one in model.candidates)
        loads = {uid: rate.concurrency for uid, rate in rates.items() if rate and rate.at > now - signal.STALE_SECONDS}
        costs = remembered.look(number, model.candidates, loads, now)
        if costs:
            task = self._marking[key] = asyncio.create_task(self._write_costs(key, costs), name=f"costs {key}")
            task.add_done_callback(lambda _: self._marking.pop(key, None))

    async def _write_costs(self, key: Key, costs: Mapping[Candidate, int | None]) -> None:
        for candidate, cost in costs.items():
            try:
                await self._mark(key, candidate, cost)
            except errors.NotLeading:
                return
            except errors.ApiError as error:  # a pod more or less in order: the next round tries again
                fields = {"namespace": key[0], "model": key[1], "pod": candidate.name, "error": str(error)}
                _LOG.warning("could not set a pod's deletion cost", extra=fields)
                return

    def _start_rise(self, key: Key, advice: Advice) -> None:
        task = self._rising[key] = asyncio.create_task(self._raise(key, advice), name=f"raise {key}")
        task.add_done_callback(lambda _: self._rising.pop(key, None))

    async def _raise(self, key: Key, advice: Advice) -> None:
        fields: Mapping[str, object] = {"namespace": key[0], "model": key[1], "replicas": advice.replicas}
        try:
            await self._rise(key, advice)
        except errors.NotLeading:
            return
        except errors.ApiError as error:  # the next look tries again
            _LOG.warning("could not raise a model", extra={**fields, "error": str(error)})
        else:
            _LOG.info("raised a model", extra={**fields, "reason": advice.reason})

    def _resolved(self, model: Scaled) -> Scaled:
        """Put the measured target into the plan; who does not lead reckons with the one that the HPA was given."""
        if not model.measured:
            self._targets.pop(model.key, None)
            return model
        used = self._targets.get(model.key) or model.target or target.UNKNOWN
        if model.target is not None and not self._leads():
            used = model.target
        elif (best := self._best(model)) is not None:
            found = target.concurrency(best.batch_size, best.batch_seconds, model.queue_size, best.cores)
            used = found if abs(found - used) > TARGET_CHANGE * used else used
        self._targets[model.key] = used
        goals = tuple(Goal(goal.kind, used) if goal.kind is Kind.CONCURRENCY else goal for goal in model.plan.goals)
        return dataclasses.replace(model, plan=dataclasses.replace(model.plan, goals=goals))

    def _best(self, model: Scaled) -> Load | None:
        """Return what the first of the pods that has measured itself says."""
        loads = (self._scraper.load(pod.key) for pod in model.pods)
        return next((load for load in loads if load and load.batch_size and load.batch_seconds), None)
