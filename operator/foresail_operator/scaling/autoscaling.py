"""Autoscaling on the load, for the whole operator: what it watches, what it serves, and what a look is told.

Cache ──> Census ──> Control ──┬──> MetricsApi, in every replica of the operator
                               ├──> burst.raise_to, in the leader
                               └──> Autoscaling.view: the HPA's metrics and bounds, status.scaling
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, Final

from foresail_operator import errors
from foresail_operator.api import kinds
from foresail_operator.desired import autoscaler, meta, names
from foresail_operator.scaling import asked, burst, hpa
from foresail_operator.scaling.census import Census
from foresail_operator.scaling.control import Control
from foresail_operator.scaling.exposition import Exposition
from foresail_operator.scaling.metrics_api import MetricsApi
from foresail_operator.scaling.mode import Choice, Mode
from foresail_operator.scaling.registration import Registration
from foresail_operator.scaling.scrape import Scraper
from foresail_operator.scaling.server import MetricsServer
from foresail_operator.scaling.starts import Starts
from foresail_operator.status.facts import Advice, ColdStart, LoadScaling

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.metrics import Metrics
    from foresail_operator.observe import Cache
    from foresail_operator.scaling import decide
    from foresail_operator.scaling.control import Outlook
    from foresail_operator.scaling.front_proxy import FrontProxy
    from foresail_operator.scaling.leaving import Candidate
    from foresail_operator.scaling.mode import Service

_LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 60.0
"""How often the metrics API's certificates and APIServices are looked after."""
SOON_SECONDS: Final = 1.0
"""How soon again while there is something to wait for."""
TELL_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 10.0
"""How long nothing may be known of a model before its status says so: pods and this process have to start."""
RAISED_SECONDS: Final = 15.0
"""How long bounds stay at a size that the burst path has raised to: by then every watch has shown it."""
_NO_SERVICE: Final = Choice(
    Mode.BOUNDS, "this install has no metrics API of its own, so the operator sets the HPA's bounds itself"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the metrics API listens, and the Service and Secret that stand for it."""

    service: Service
    host: str
    port: int

    @property
    def secret(self) -> str:
        """Name of the Secret that holds its certificates."""
        return f"{self.service.name}-tls"


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What a look at a model has to know."""

    load: autoscaler.Load
    scaling: LoadScaling


class Autoscaling:
    """One replica's part in it; `changed` is called with a model whose size, or the reason for it, is another."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        *,
        metrics: Metrics,
        leads: Callable[[], bool],
        changed: Callable[[Key], None],
        endpoint: Endpoint | None,
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._leads = leads
        self._changed = changed
        self._clock = clock
        self._metrics = metrics
        self._cache = cache
        self._census = Census(cache)
        self._scraper = Scraper()
        self._control = Control(self._scraper, self._census.scaled, self._rise, leads, self._mark)
        self._choice = _NO_SERVICE
        self._proxy: FrontProxy | None = None
        self._endpoint = endpoint
        self._known = asyncio.Event()
        self._told: dict[Key, tuple[object, ...]] = {}
        self._unknown_since: dict[Key, float] = {}
        self._raised: dict[Key, tuple[int, float]] = {}
        self._starts = Starts(clock)
        self._cold: dict[Key, ColdStart] = {}
        metrics.registry.register(Exposition(self._scraper, self._control, leads))

    async def run(self) -> None:
        """Look, serve and tell, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._control.run(), name="loads")
            group.create_task(self._keep_telling(), name="changes of size")
            group.create_task(self._keep_served(), name="metrics API")

    async def wait_known(self) -> None:
        """Wait until it is known how the HPA gets its numbers; before that no HPA may be written."""
        await self._known.wait()

    def view(self, model: ModelDeployment) -> View | None:
        """Return what a look has to know; None for a model that does not scale on its load."""
        scaling = model.spec.scaling
        plan = asked.plan(scaling) if scaling else None
        if scaling is None or plan is None or not plan.goals:
            return None
        key, choice = model.key, self._choice
        outlook = self._control.outlook(key)
        measured = self._control.concurrency_target(key) or self._census.target(key)
        goals = asked.with_target(plan.goals, measured) if asked.measured(scaling) else plan.goals
        labels = meta.selector(model.metadata.name)
        alone = asked.alone(scaling)
        by_bounds = choice.mode is Mode.BOUNDS and alone
        size = self._size(key, outlook)
        minimum, maximum = hpa.bounds(choice.mode, scaling.min_replicas, scaling.max_replicas, size, alone=alone)
        metrics = tuple(hpa.metrics(goals, choice.mode, model.metadata.name, labels))
        return View(
            autoscaler.Load(metrics, minimum, maximum),
            LoadScaling(choice.mode, choice.reason, by_bounds=by_bounds, advice=self._advice(key, outlook)),
        )

    def idle(self, key: Key) -> bool:
        """Return whether a model is known to have had no request for its idle time."""
        outlook = self._control.outlook(key)
        return outlook is not None and outlook.idle

    def see_pod(self, event: str | None, raw: dict[str, Any]) -> None:
        """Take in a pod as its watch shows it, to time its start."""
        self._starts.see(event, raw)

    def cold_start(self, key: Key) -> ColdStart | None:
        """Return how a model's last start without a ready replica went; None: none was seen."""
        return self._cold.get(key)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is gone."""
        self._cold.pop(key, None)
        for memory in (self._told, self._unknown_since, self._raised):
            memory.pop(key, None)

    def _size(self, key: Key, outlook: Outlook | None) -> int:
        """Return the size that bounds shall say: the one that is there while nothing is known."""
        present = self._census.replicas(key)
        wanted = present if outlook is None or outlook.kind is None else outlook.size
        raised, until = self._raised.get(key, (0, 0.0))
        return max(wanted, raised) if self._clock() < until else wanted

    def _advice(self, key: Key, outlook: Outlook | None) -> Advice | None:
        if outlook is not None and (outlook.kind is not None or outlook.desired == 0):
            self._unknown_since.pop(key, None)
            return Advice(outlook.desired, outlook.kind, outlook.reason)
        since = self._unknown_since.setdefault(key, self._clock())
        if outlook is None or not outlook.silent or self._clock() - since < QUIET_SECONDS:
            return None
        words = f"{outlook.desired}: none of {outlook.silent} replicas says what it carries, so the size stays"
        return Advice(outlook.desired, None, words)

    async def _rise(self, key: Key, advice: decide.Advice) -> None:
        """Raise a Deployment; where the bounds say the size they follow at once, before the HPA's next look."""
        self._raised[key] = (advice.replicas, self._clock() + RAISED_SECONDS)
        if self._choice.mode is Mode.BOUNDS:
            self._changed(key)
        before = await burst.raise_to(self._kube, key[0], names.deployment(key[1]), advice)
        if before is not None:
            self._metrics.raises.inc()

    async def _mark(self, key: Key, candidate: Candidate, cost: int | None) -> None:
        """Write a pod's deletion cost; one that is gone needs none."""
        annotations = {meta.DELETION_COST_ANNOTATION: None if cost is None else str(cost)}
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            await self._kube.annotate(kinds.POD, key[0], candidate.name, candidate.uid, annotations)

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if self._leads():
                self._tell()
            else:
                self._told.clear()

    def _tell(self) -> None:
        """Ask for a look at each model of which there is something new to say."""
        self._tell_starts()
        for key in self._control.known():
            outlook = self._control.outlook(key)
            advice = self._advice(key, outlook)
            words = (advice.desired, advice.signal, self._size(key, outlook)) if advice else ()
            news = (
                *words,
                self.idle(key),
                self._cold.get(key),
                self._control.concurrency_target(key),
                self._choice.mode,
            )
            if self._told.get(key) != news:
                self._told[key] = news
                self._changed(key)

    def _tell_starts(self) -> None:
        """Count the starts that pods have told of; one is a cold start where no other replica is ready."""
        for uid in self._starts.ready():
            start = self._starts.tell(uid, self._scraper.load(uid), self._scraper.heard_at(uid))
            if start is None:
                continue
            for phase, seconds in (*start.phases.items(), ("all", start.seconds)):
                self._metrics.start_seconds.labels(phase).observe(seconds)
            key = self._cache.key_of(uid)
            if key is not None and sum(pod.ready and not pod.ending for pod in self._cache.observe(key).pods) == 1:
                self._cold[key] = ColdStart(start.seconds, tuple(start.phases.items()))

    async def _keep_served(self) -> None:
        """Look after the metrics API; without one, the bounds are the way from the start."""
        endpoint = self._endpoint
        if endpoint is None:
            self._known.set()
            return
        registration = Registration(
            self._kube, endpoint.service, endpoint.secret, leads=self._leads, now=lambda: dt.datetime.now(dt.UTC)
        )
        api = MetricsApi(self._control, _timestamp, lambda: self._proxy)
        server = MetricsServer(api.application(), endpoint.host, endpoint.port)
        try:
            while True:
                after_seconds = await self._look(registration, server)
                await asyncio.sleep(after_seconds)
        finally:
            await server.stop()

    async def _look(self, registration: Registration, server: MetricsServer) -> float:
        """Look once; return after how many seconds to look again."""
        try:
            state = await registration.look()
        except errors.Refused as error:
            self._choice = Choice(Mode.BOUNDS, f"the operator sets the HPA's bounds itself because it may not: {error}")
            self._known.set()
            return LOOK_SECONDS
        except (errors.ApiError, errors.NotLeading) as error:
            _LOG.warning("the metrics API could not be looked after", extra={"error": str(error)})
            return SOON_SECONDS
        self._proxy, self._choice = state.proxy, state.choice
        self._known.set()
        if state.chain is None:
            return SOON_SECONDS
        if state.proxy is not None:
            await server.serve(state.chain, state.proxy)
        return LOOK_SECONDS


def _timestamp() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
