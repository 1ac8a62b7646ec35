"""One look at one ModelDeployment: observe, check, build, apply, say.

Level-triggered: it asks what is there, never what happened, and a second look straight after it writes nothing. It
stops at nothing half done that the next look would not carry on.
"""

from __future__ import annotations

import collections
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pydantic

from foresail_operator import checks, errors, live, say
from foresail_operator.api import kinds, v1alpha1
from foresail_operator.api.conditions import Reason
from foresail_operator.desired import contest, names, pace, plan, proxy, removal, zero
from foresail_operator.desired.images import DEFAULT_PULL_POLICY, Pin
from foresail_operator.desired.images import choose as choose_image
from foresail_operator.desired.ports import NoPortsLeftError
from foresail_operator.say import Speaker
from foresail_operator.status import facts
from foresail_operator.status.facts import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foresail_operator.api.kinds import Kind
    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.apply import Applier
    from foresail_operator.clocks import Clocks
    from foresail_operator.desired.autoscaler import Load
    from foresail_operator.desired.images import Images
    from foresail_operator.desired.plan import Plan
    from foresail_operator.events import Recorder
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key, Live
    from foresail_operator.observe import Cache, Observed
    from foresail_operator.scaling.autoscaling import Autoscaling
    from foresail_operator.standby import Standby

_MadeFor: TypeAlias = "tuple[str, int, Pin, Load | None, bool]"
_PLANS_KEPT: Final = 512
"""20 kB each, and 0.8 ms to make: as many as are likely to be under way at once."""
_CRASHES_TO_SAY: Final = 3
"""In a row: a look that only met a bad moment is good the next time."""
_LOG: Final = logging.getLogger(__name__)
_MEDDLING: Final = frozenset({kinds.AUTOSCALER.name, kinds.ENDPOINT_SLICE.name})
"""They would size a Deployment, or join a Service, that is someone else's."""
_AGAIN_SECONDS: Final = {
    Reason.CONFLICT: 30.0,
    Reason.CONTESTED: contest.PAUSE_SECONDS,
    Reason.REFUSED: 30.0,
    Reason.QUOTA: 15.0,
    Reason.WEBHOOK_UNAVAILABLE: 5.0,
    Reason.WAITING_FOR_REMOVAL: 1.0,
}
"""How soon to look again where no watch tells that the cause has gone."""


class Reconciler:
    """Looks at keys; see the module."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        applier: Applier,
        *,
        scaling: Autoscaling,
        standby: Standby,
        recorder: Recorder,
        images: Images,
        proxies: proxy.Setup,
        clocks: Clocks,
        crowded: Callable[[], bool],
    ) -> None:
        """Look with these parts; `crowded` tells whether newcomers wait for their first look."""
        self._kube = kube
        self._cache = cache
        self._applier = applier
        self._scaling = scaling
        self._standby = standby
        self._speaker = Speaker(kube, cache, scaling, recorder, clocks)
        self._images = images
        self._proxies = proxies
        self._clocks = clocks
        self._crowded = crowded
        self._paces: dict[Key, pace.Pace] = {}
        self._crashes: collections.Counter[Key] = collections.Counter()
        self._plans: collections.OrderedDict[Key, tuple[_MadeFor, Plan]] = collections.OrderedDict()

    async def look(self, key: Key) -> float | None:
        """Look at a key; return after how many seconds to look again without being asked, or None.

        What a bug of ours ends again and again is told of in the status, which would go on saying what was true once.
        """
        try:
            after = await self._look(key)
        except errors.OperatorError:
            raise
        except Exception as error:
            self._crashes[key] += 1
            if self._crashes[key] >= _CRASHES_TO_SAY:
                with contextlib.suppress(errors.OperatorError):  # what is to be logged is the bug
                    await self._speaker.say_crashed(self._cache.observe(key), error)
            raise
        self._crashes.pop(key, None)
        return after

    async def _look(self, key: Key) -> float | None:
        seen = self._cache.observe(key)
        if seen.model is None:
            self._forget(key)
            await self._standby.take_back(key, seen)
            return None
        raw = seen.model.read()
        if "deletionTimestamp" in raw["metadata"]:
            return None
        try:
            model = v1alpha1.parse(raw)
        except pydantic.ValidationError as error:
            await self._standby.wake_as_it_was(key, seen)
            await self._standby.take_back(key, seen)
            return await self._speaker.say_unreadable(raw, seen, checks.explain(error))
        if violations := checks.check(model, activator=self._standby.installed):
            await self._keep_reachable(model, seen)
            problem = Problem(Reason.INVALID_SPEC, "; ".join(violations))
            return await self._speaker.say(model, raw, seen, None, problem)
        return await self._carry_out(model, raw, seen)

    def newcomer(self, key: Key) -> bool:
        """Tell whether a key has not been carried out yet, by this process."""
        return key not in self._paces

    def _forget(self, key: Key) -> None:
        self._paces.pop(key, None)
        self._crashes.pop(key, None)
        self._plans.pop(key, None)
        self._speaker.forget(key)
        self._scaling.forget(key)
        self._standby.forget(key)

    def _plan(self, model: ModelDeployment, recorded: Pin | None, load: Load | None, *, proxied: bool) -> Plan:
        """Return the plan; one that was made lately for the same spec is taken again, as looks come in bursts."""
        pin = choose_image(model, recorded, self._images)
        made_for = (model.metadata.uid, model.metadata.generation, pin, load, proxied)
        found = self._plans.get(model.key)
        if found is None or found[0] != made_for:
            found = (made_for, plan.build(model, recorded, self._images, load, self._proxies, proxied=proxied))
        self._plans[model.key] = found
        self._plans.move_to_end(model.key)
        if len(self._plans) > _PLANS_KEPT:
            self._plans.popitem(last=False)
        return found[1]

    async def _carry_out(self, model: ModelDeployment, raw: dict[str, Any], seen: Observed) -> float | None:
        new = self.newcomer(model.key) and not (raw.get("status") or {}).get("conditions")
        view = self._scaling.view(model)
        proxied = proxy.wanted(model) and any(one.ready and not one.ending for one in seen.proxies)
        planned = self._plan(model, _recorded(raw), view.load if view else None, proxied=proxied)
        if (wait := self._too_soon(model, planned, seen)) is not None:
            return wait
        proved = say.proved(raw, planned.revision)
        turn = self._standby.turn(model, seen, idle=self._scaling.idle(model.key), proved=proved)
        if turn is zero.Turn.WAKE:  # first of all, as someone waits
            await self._standby.wake(model.key)
        problem = await self._write(model, planned, seen, proxied=proxied, sleeps=turn is zero.Turn.SLEEP)
        if turn is zero.Turn.SLEEP:  # last, as the activator has to be known everywhere
            await self._standby.sleep(model.key, self._cache.observe(model.key), proxied=proxied)
        await self._standby.take_back(model.key, seen)
        if new and problem is None and self._crowded():
            return 0.0  # others have no children yet; the next look says at once how far this one has come
        after = await self._speaker.say(model, raw, self._cache.observe(model.key), planned, problem)
        again = _AGAIN_SECONDS.get(problem.reason) if problem else None
        return min((one for one in (after, again) if one is not None), default=None)

    async def _keep_reachable(self, model: ModelDeployment, seen: Observed) -> None:
        """Let the last good revision be reached, and woken, though this one is refused."""
        await self._standby.wake_as_it_was(model.key, seen)
        # that one is held for where it has a slice, whatever this one says
        held = model.model_copy(update={"spec": model.spec.model_copy(update={"hold_requests": True})})
        name, kept = model.metadata.name, set[str]()
        for proxied in (False, True):
            found = seen.of(kinds.ENDPOINT_SLICE, names.activator_slice(name, proxied=proxied))
            for wanted in self._stand_in(held, seen, proxied=proxied)[0] if found and zero.held(held) else ():
                kept.add(wanted["metadata"]["name"])
                await self._ensure(wanted, seen.of(kinds.ENDPOINT_SLICE, wanted["metadata"]["name"]))
        if kept and names.ready_slice(name) not in kept:
            await self._remove(kinds.ENDPOINT_SLICE, model, seen, names.ready_slice(name))
        await self._standby.take_back(model.key, seen)

    def _too_soon(self, model: ModelDeployment, planned: Plan, seen: Observed) -> float | None:
        """Return how long a newer revision waits, so that a spec edited again and again rolls out few times."""
        now = self._clocks.monotonic()
        last = self._paces.get(model.key)
        available = any(pod.ready and last is not None and pod.revision == last.revision for pod in seen.pods)
        if (wait := pace.wait(last, planned.revision, available=available, now=now)) is not None:
            return wait
        if last is None or last.revision != planned.revision:
            self._paces[model.key] = pace.Pace(planned.revision, now)
        return None

    async def _write(
        self, model: ModelDeployment, planned: Plan, seen: Observed, *, proxied: bool, sleeps: bool
    ) -> Problem | None:
        """Write what differs; return the first thing that stands in the way."""
        await self._remove_autoscaler(model, seen)
        stand_in, problems = self._stand_in(model, seen, proxied=proxied, sleeps=sleeps)
        seen = await self._remove_misfits(model, seen, stand_in)
        for child in _in_order(model, planned, stand_in, proxied=proxied):
            if child["kind"] in _MEDDLING and any(map(_conflicts, problems)):
                continue
            found = seen.of(kinds.BY_NAME[child["kind"]], child["metadata"]["name"])
            problems.append(await self._ensure(child, found))
        await self._remove_slices(model, seen, stand_in)
        await self._remove_proxies(model, seen)
        await self._remove_configurations(model, planned, seen)
        return next((problem for problem in problems if problem is not None), None)

    def _stand_in(
        self, model: ModelDeployment, seen: Observed, *, proxied: bool, sleeps: bool = False
    ) -> tuple[tuple[dict[str, Any], ...], list[Problem | None]]:
        """Return the activator's slices, and what stands in their way."""
        try:
            return self._standby.slices_of(model, seen, proxied=proxied, sleeps=sleeps), []
        except NoPortsLeftError as error:
            return (), [Problem(Reason.REFUSED, f"{error}; set holdRequests to false where none has to wait")]

    async def _ensure(self, child: dict[str, Any], found: Live | None) -> Problem | None:
        try:
            return await self._applier.ensure(child, found)
        except errors.Refused as error:
            reason = Reason.TERMINATING if "being terminated" in error.message else Reason.REFUSED
            reason = Reason.QUOTA if "exceeded quota" in error.message else reason
            return Problem(reason, f"{child['kind']} {child['metadata']['name']}: {error.message}")
        except errors.WebhookUnavailable as error:
            return Problem(Reason.WEBHOOK_UNAVAILABLE, f"{child['kind']} {child['metadata']['name']}: {error.message}")

    async def _remove_autoscaler(self, model: ModelDeployment, seen: Observed) -> None:
        """Take an autoscaler away before a fixed size is written, or the two would pull at one number."""
        if model.spec.scaling is None:
            await self._remove(kinds.AUTOSCALER, model, seen, names.autoscaler(model.metadata.name))

    async def _remove_misfits(
        self, model: ModelDeployment, seen: Observed, wanted: tuple[dict[str, Any], ...]
    ) -> Observed:
        """Take slices of the other address family away, to be made again, as that field can't be changed."""
        families = {one["metadata"]["name"]: one["addressType"] for one in wanted}
        found = {name: seen.of(kinds.ENDPOINT_SLICE, name) for name in families}
        misfits = [name for name, one in found.items() if one and one.read().get("addressType") != families[name]]
        for name in misfits:
            await self._remove(kinds.ENDPOINT_SLICE, model, seen, name)
        return self._cache.observe(model.key) if misfits else seen

    async def _remove_slices(self, model: ModelDeployment, seen: Observed, wanted: tuple[dict[str, Any], ...]) -> None:
        """Take the activator out of a Service in which it shall not stand in, or not any more."""
        kept = {one["metadata"]["name"] for one in wanted}
        name = model.metadata.name
        fallbacks = (names.activator_slice(name, proxied=proxied) for proxied in (False, True))
        for found in (*fallbacks, names.ready_slice(name)):
            if found not in kept:
                await self._remove(kinds.ENDPOINT_SLICE, model, seen, found)

    async def _remove_proxies(self, model: ModelDeployment, seen: Observed) -> None:
        """Take the proxies away once the Service that leads to them has been led elsewhere; they end in peace."""
        if proxy.wanted(model):
            return
        name = model.metadata.name
        await self._remove(kinds.DEPLOYMENT, model, seen, names.proxy(name))
        await self._remove(kinds.DISRUPTION_BUDGET, model, seen, names.proxy(name))
        await self._remove(kinds.SERVICE, model, seen, names.direct_service(name))

    async def _remove_configurations(self, model: ModelDeployment, planned: Plan, seen: Observed) -> None:
        """Take ConfigMaps away that no pod will read again."""
        there = {
            name: found
            for (kind, name), found in seen.children.items()
            if kind == kinds.CONFIG_MAP.name
            and names.is_configuration(model.metadata.name, name)
            and _ours(found, model)
        }
        if there.keys() <= planned.configurations:
            return
        name = model.metadata.name
        replicas, proxies = (seen.of(kinds.DEPLOYMENT, one) for one in (names.deployment(name), names.proxy(name)))
        complete = facts.rollout(replicas.read() if replicas else None).complete
        complete = complete and (proxies is None or facts.rollout(proxies.read()).complete)
        mounted = {pod.description for pod in (*seen.pods, *seen.proxies) if pod.description is not None}
        for left in removal.descriptions(there, planned.configurations, mounted, complete=complete):
            await self._delete(kinds.CONFIG_MAP, model, left, there[left].uid)

    async def _remove(self, kind: Kind, model: ModelDeployment, seen: Observed, name: str) -> None:
        """Delete a child that is there and ours."""
        found = seen.of(kind, name)
        if found is not None and _ours(found, model):
            await self._delete(kind, model, name, found.uid)

    async def _delete(self, kind: Kind, model: ModelDeployment, name: str, uid: str) -> None:
        """Delete a child, and do not wait for its event to know that it is gone."""
        await self._kube.delete(kind, model.metadata.namespace, name, uid)
        self._cache.forget(uid)


def _in_order(
    model: ModelDeployment, planned: Plan, stand_in: tuple[dict[str, Any], ...], *, proxied: bool
) -> Iterator[dict[str, Any]]:
    """Yield the children with the activator's slices, which are past the proxies before the Service leads to those.

    So whoever is held moves first, and is never sent to proxies that send him back.
    """
    leading = names.service(model.metadata.name)
    for child in planned.children:
        if proxied and (child["kind"], child["metadata"]["name"]) == (kinds.SERVICE.name, leading):
            yield from stand_in
        yield child
    if not proxied:
        yield from stand_in


def _ours(found: Live, model: ModelDeployment) -> bool:
    return live.owned(found.read()["metadata"], model.metadata.name, model.metadata.uid)


def _conflicts(problem: Problem | None) -> bool:
    return problem is not None and problem.reason is Reason.CONFLICT


def _recorded(raw: dict[str, Any]) -> Pin | None:
    revision = (raw.get("status") or {}).get("revision") or {}
    image, inputs = revision.get("image"), revision.get("inputs")
    return Pin(image, inputs, revision.get("pullPolicy") or DEFAULT_PULL_POLICY) if image and inputs else None
