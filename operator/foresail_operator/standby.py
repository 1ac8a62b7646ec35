"""The operator's side of the activator: where it is, who waits there, and models that sleep and wake.

activator's pods ──EndpointSlices of its Service──> addresses ──> each model's own slices
activator ──a key in the ConfigMap of wishes──> a look at the model ──> size 1
no request for idleSeconds ──> a look at the model ──> its slice of ready endpoints ──> size 0
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

from foresail_operator import errors
from foresail_operator.api import kinds
from foresail_operator.desired import activator, names, zero
from foresail_operator.desired.ports import Ports
from foresail_operator.status import facts
from foresail_operator.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.kinds import Kind, Manifest
    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.observe import Cache, Observed

_LOG: Final = logging.getLogger(__name__)
BESIDE_SECONDS: Final = 0.5
"""How long the activator stays beside the first ready replica of a model that woke."""
WISHES_LABEL: Final = "foresail.dev/wishes=true"
"""Label selector of the ConfigMap in which the activator asks for replicas."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the activator is: its Service, in the operator's own namespace, and the ConfigMap of wishes there."""

    namespace: str
    service: str
    wishes: str


class Standby:
    """One replica's part in it; `changed` is called with a model to look at."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        place: Place | None,
        changed: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._place = place
        self._changed = changed
        self._ports = Ports()
        self._slices: dict[str, tuple[str, ...]] = {}
        self._wishes: dict[str, str] = {}
        """When each was written last."""
        self._clock = clock
        self._relieved: dict[Key, float] = {}
        """Since when a replica is ready beside the activator."""

    @property
    def installed(self) -> bool:
        """Whether this install has an activator."""
        return self._place is not None

    def begin(self) -> None:
        """Begin to lead: what was given and begun is what the cluster shows, as another may have led meanwhile."""
        self._ports.forget()
        self._relieved.clear()

    def watches(self, kube: Kube) -> list[Watch]:
        """Return what has to run for as long as the operator does; `kube` has connections to spare for watches."""
        if self._place is None:
            return []
        selectors = (
            (kinds.ENDPOINT_SLICE, f"{activator.SERVICE_NAME_LABEL}={self._place.service}"),
            (kinds.CONFIG_MAP, WISHES_LABEL),
        )
        return [
            Watch(kube, kind, self._place.namespace, selector, sink=self, jitter=random.random)
            for kind, selector in selectors
        ]

    def sink(self, kind: Kind, event: str | None, raw: dict[str, Any]) -> None:
        """Take in where the activator is, or what it asks for."""
        if kind is kinds.CONFIG_MAP:
            if self._place and raw["metadata"]["name"] == self._place.wishes:  # another release's is not ours to read
                self._take_wishes(raw if event != "DELETED" else {})
            return
        before = self.addresses()
        uid = raw["metadata"]["uid"]
        self._slices.pop(uid, None)
        if event != "DELETED":
            ready = [one for one in raw.get("endpoints") or () if (one.get("conditions") or {}).get("ready")]
            self._slices[uid] = tuple(address for one in ready for address in one["addresses"])
        if self.addresses() != before:
            for key in self._cache.models():
                self._changed(key)

    def known(self, kind: Kind, namespace: str | None) -> list[str]:  # noqa: ARG002  # one namespace is watched
        """Return the uids of what is known."""
        return list(self._slices) if kind is kinds.ENDPOINT_SLICE else []

    def addresses(self) -> tuple[str, ...]:
        """Return where the activator takes connections."""
        return tuple(sorted(address for one in self._slices.values() for address in one))

    def wished_for(self, key: Key) -> bool:
        """Return whether someone waits for a replica of a model."""
        return not wishes(key).isdisjoint(self._wishes)

    def slices_of(
        self, model: ModelDeployment, seen: Observed, *, proxied: bool = False, sleeps: bool = False
    ) -> tuple[Manifest, ...]:
        """Return the slices through which the activator stands in; none for a model that it does not hold for.

        `proxied` says whether the model's Service leads to proxies, which are its ready endpoints then; `sleeps`
        whether the model is about to: who goes to ready endpoints has to find the next one before the last is gone.
        """
        if not self.installed or not zero.held(model):
            self._ports.free(model.key)
            return ()
        self._ports.learn(self._live_pairs)
        pair = self._ports.take(model.key, _pair(model.key, seen))
        name = model.metadata.name
        alone = not proxied and self._stands_alone(model, seen, sleeps=sleeps)
        roles = activator.assign(model, self.addresses(), sleeps=not proxied and zero.sleepy(model), alone=alone)
        families = [
            _family(seen, one) for one in (names.activator_slice(name, proxied=proxied), names.ready_slice(name))
        ]
        fallback = activator.build(model, roles, pair, proxied=proxied, before=families[0])
        ready = activator.build_ready(model, roles, pair, before=families[1])
        return (fallback, ready) if ready else (fallback,)

    def _stands_alone(self, model: ModelDeployment, seen: Observed, *, sleeps: bool) -> bool:
        """Return whether the activator is a ready endpoint, as nobody else is: of a model at zero, until a replica is.

        It stays for a moment beside the first ready replica, whose own endpoint Kubernetes has yet to write: too late
        costs nothing, as the activator passes on, and too early leaves nobody.
        """
        deployment = _deployment(model.key, seen)
        asleep = zero.sleepy(model) and deployment is not None and facts.rollout(deployment).wanted == 0
        if asleep or sleeps:
            self._relieved.pop(model.key, None)
            return True
        if not _is_ready_endpoint(model.key, seen):
            return False
        if not any(pod.ready and not pod.ending for pod in seen.pods):
            self._relieved.pop(model.key, None)
            return True
        now = self._clock()
        left = self._relieved.setdefault(model.key, now) + BESIDE_SECONDS - now
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._changed, model.key)
            return True
        del self._relieved[model.key]
        return False

    def forget(self, key: Key) -> None:
        """Give a model's ports back."""
        self._ports.free(key)
        self._relieved.pop(key, None)

    def turn(self, model: ModelDeployment, seen: Observed, *, idle: bool, proved: bool) -> zero.Turn:
        """Return whether it is a model's turn to sleep or to wake.

        One that nobody lets sleep is woken without an activator, too: an autoscaler leaves alone what is at 0.
        """
        if model.spec.scaling is None:
            return zero.Turn.KEEP
        sleepy = self.installed and zero.sleepy(model)
        return zero.decide(self._situation(model, seen, idle=idle, proved=proved), sleepy=sleepy)

    async def wake(self, key: Key) -> None:
        """Let a model wake."""
        await self._resize(key, before=0, after=1)

    async def sleep(self, key: Key, seen: Observed, *, proxied: bool) -> None:
        """Let a model sleep whose turn it is, unless not all know the activator yet, or someone has come meanwhile."""
        if (proxied or _is_ready_endpoint(key, seen)) and not self.wished_for(key):
            await self._resize(key, before=facts.rollout(_deployment(key, seen)).wanted, after=0)

    async def wake_as_it_was(self, key: Key, seen: Observed) -> None:
        """Wake a model whose edit is refused, if someone waits for it: what it was before may answer."""
        deployment = _deployment(key, seen)
        if self.wished_for(key) and _fallbacks(key, seen) and deployment and facts.rollout(deployment).wanted == 0:
            await self.wake(key)

    async def take_back(self, key: Key, seen: Observed) -> None:
        """Take a wish back once a replica is ready, or the model is gone: the key may then be but a Service's name."""
        called = wishes(key)
        found = self._wishes.keys() & (called | {_wish(key)})
        ready = seen.model is not None and any(pod.ready and not pod.ending for pod in seen.pods)
        if found and (done := found - (self._known_wishes().keys() - (called if ready else set()))):
            await self._take_back(frozenset(done))

    def _situation(self, model: ModelDeployment, seen: Observed, *, idle: bool, proved: bool) -> zero.Situation:
        deployment = _deployment(model.key, seen)
        rollout = facts.rollout(deployment)
        return zero.Situation(
            size=rollout.wanted if deployment else None,
            settled=rollout.complete,
            wished_for=self.wished_for(model.key),
            idle=idle,
            armed=bool(self.addresses()) and any(one.get("endpoints") for one in _fallbacks(model.key, seen)),
            proved=proved,
        )

    async def _resize(self, key: Key, *, before: int, after: int) -> None:
        """Set the size unless someone else has changed it since it was seen."""
        namespace, name = key[0], names.deployment(key[1])
        try:
            scale = await self._kube.get(kinds.DEPLOYMENT, namespace, name, "scale")
            if int(scale["spec"].get("replicas", 0)) == before:
                await self._kube.replace(kinds.DEPLOYMENT, scale | {"spec": {"replicas": after}}, "scale")
                _LOG.info("woke a model" if after else "let a model sleep", extra={"before": before})
        except (errors.Conflict, errors.NotFound):
            return  # what changed it asks for another look

    async def _take_back(self, done: frozenset[str]) -> None:
        if self._place is None:
            return
        try:
            found = await self._kube.get(kinds.CONFIG_MAP, self._place.namespace, self._place.wishes)
            left = {name: at for name, at in (found.get("data") or {}).items() if name not in done}
            await self._kube.replace(kinds.CONFIG_MAP, found | {"data": left})
        except (errors.Conflict, errors.NotFound):
            return  # the activator writes it again for who still waits

    def _take_wishes(self, raw: dict[str, Any]) -> None:
        """Ask for a look at each model whose wish is new, or gone, or written again: what was done may be undone.

        And at each that is gone: the activator asked for it once more before it knew, and the look takes that back.
        """
        before, self._wishes = self._wishes, dict(raw.get("data") or {})
        changed = {name for name, _ in before.items() ^ self._wishes.items()}
        if not changed:
            return
        known = self._known_wishes()
        gone = {name: _key(name) for name in self._wishes.keys() - known.keys() if "." in name}
        for key in dict.fromkeys(key for name, key in (known | gone).items() if name in changed or name in gone):
            self._changed(key)

    def _known_wishes(self) -> dict[str, Key]:
        """Return how the ConfigMap may call the models that there are."""
        return {name: key for key in self._cache.models() for name in wishes(key)}

    def _live_pairs(self) -> dict[Key, int]:
        """Return the ports that slices carry now."""
        pairs = ((key, _pair(key, self._cache.observe(key))) for key in self._cache.models())
        return {key: pair for key, pair in pairs if pair is not None}


def wishes(key: Key) -> frozenset[str]:
    """Return how the ConfigMap of wishes calls a model: by the Service at which someone waits."""
    return frozenset(f"{key[0]}.{name}" for name in (names.service(key[1]), names.direct_service(key[1])))


def _wish(key: Key) -> str:
    """Return the wish from which a key was made."""
    return ".".join(key)


def _key(wish: str) -> Key:
    """Return a key by which a wish that is no model's can be looked at; a namespace has no dot in it."""
    namespace, _, name = wish.partition(".")
    return namespace, name


def _fallbacks(key: Key, seen: Observed) -> list[Manifest]:
    """Return the slices in which the activator is a fallback; two for the moment in which it moves."""
    called = (names.activator_slice(key[1], proxied=proxied) for proxied in (False, True))
    found = (seen.of(kinds.ENDPOINT_SLICE, name) for name in called)
    return [one.read() for one in found if one is not None]


def _pair(key: Key, seen: Observed) -> int | None:
    """Return the number of the ports that a model's fallback carries."""
    pairs = (activator.pair_of(one) for one in _fallbacks(key, seen))
    return next((pair for pair in pairs if pair is not None), None)


def _family(seen: Observed, name: str) -> str | None:
    """Return the family of a slice that is there."""
    found = seen.of(kinds.ENDPOINT_SLICE, name)
    return found.read().get("addressType") if found else None


def _is_ready_endpoint(key: Key, seen: Observed) -> bool:
    """Tell whether the activator is a ready endpoint of a model: in its own slice, or as its one pod, which is all."""
    found = seen.of(kinds.ENDPOINT_SLICE, names.ready_slice(key[1]))
    return any(map(activator.is_ready, [*_fallbacks(key, seen), *([found.read()] if found else [])]))


def _deployment(key: Key, seen: Observed) -> dict[str, Any] | None:
    found = seen.of(kinds.DEPLOYMENT, names.deployment(key[1]))
    return found.read() if found else None
