"""Which models scale on their load, from what the watches have shown; read again only where that has changed."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Final

import pydantic

from foresail_operator.api import kinds, v1alpha1
from foresail_operator.desired import haproxy, meta, names
from foresail_operator.scaling import asked, hpa
from foresail_operator.scaling.control import Scaled
from foresail_operator.scaling.leaving import Candidate
from foresail_operator.scaling.metrics_api import Described
from foresail_operator.scaling.scrape import Pod
from foresail_operator.scaling.signal import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from foresail_operator.live import Key, Live
    from foresail_operator.observe import Cache, Observed

_LOG: Final = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Read:
    """What was made of what was seen; the objects are the cache's own, so they are compared by identity."""

    model: Live
    parts: tuple[object, ...]
    scaled: Scaled | None


class Census:
    """Counts the models that scale on their load."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._read: dict[Key, _Read] = {}

    def scaled(self) -> Iterable[Scaled]:
        """Return every model that scales on its load, as it is now."""
        keys = self._cache.models()
        for gone in self._read.keys() - set(keys):
            del self._read[gone]
        found = (self._look(key) for key in keys)
        return [scaled for scaled in found if scaled is not None]

    def replicas(self, key: Key) -> int:
        """Return the size that a model was given."""
        found = self._look(key)
        return found.replicas if found else 0

    def target(self, key: Key) -> float | None:
        """Return the concurrency target that a model's HPA was given; None when it has none."""
        found = self._look(key)
        return found.target if found else None

    def _look(self, key: Key) -> Scaled | None:
        before = self._read.get(key)
        if before is not None and before.scaled is None and before.model is self._cache.model(key):
            return None  # most models, twice a second
        seen = self._cache.observe(key)
        if seen.model is None:
            return None
        parts = (*seen.children.values(), *seen.pods, *seen.proxies)
        if before is None or before.model is not seen.model or not _same(before.parts, parts):
            before = self._read[key] = _Read(seen.model, parts, _read(key, seen))
        return before.scaled


def _read(key: Key, seen: Observed) -> Scaled | None:
    """Read a model; one at which a bug of ours shows does not scale until it is another, and the others do."""
    try:
        return read(seen)
    except Exception:  # noqa: BLE001  # it would end the operator, in each of its replicas
        _LOG.exception("a model's scaling could not be read", extra={"namespace": key[0], "model": key[1]})
        return None


def read(seen: Observed) -> Scaled | None:
    """Return a model with its size and pods; None when it does not scale on its load, or not any more."""
    raw = seen.model.read() if seen.model else {}
    if not raw.get("spec", {}).get("scaling") or "deletionTimestamp" in raw["metadata"]:
        return None
    try:
        model = v1alpha1.parse(raw)
    except pydantic.ValidationError:
        return None  # the look at it says what is wrong
    plan = asked.plan(model.spec.scaling) if model.spec.scaling else None
    if plan is None or model.spec.scaling is None:
        return None
    name = model.metadata.name
    deployment = seen.of(kinds.DEPLOYMENT, names.deployment(name))
    autoscaler = seen.of(kinds.AUTOSCALER, names.autoscaler(name))
    latency = any(goal.kind is Kind.LATENCY for goal in plan.goals)
    return Scaled(
        model.key,
        plan,
        replicas=deployment.read()["spec"].get("replicas", 1) if deployment else plan.bounds.minimum,
        pods=tuple(
            Pod(pod.uid, pod.address, latency=latency, tls=pod.tls)
            for pod in seen.pods
            if pod.ready and not pod.ending and pod.address
        ),
        candidates=tuple(
            Candidate(pod.uid, pod.name, pod.deletion_cost) for pod in seen.pods if pod.ready and not pod.ending
        ),
        measured=asked.measured(model.spec.scaling),
        queue_size=model.spec.serving.max_queue_size,
        target=hpa.target_in_use(autoscaler.read() if autoscaler else None),
        proxies=tuple(
            Pod(pod.uid, pod.address, haproxy.STATUS_PORT)
            for pod in seen.proxies
            if pod.ready and not pod.ending and pod.address
        ),
        described=Described(
            *model.key,
            raw["metadata"].get("labels") or {},
            meta.selector(name),
            kinds=frozenset(goal.kind for goal in plan.goals),
        ),
    )


def _same(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))
