"""Says what there is to say of a model: the status where it differs, and an Event for what someone would look for.

The only writer of status. States are written at once; numbers a little later, for they often differ again.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final

import orjson

from foresail_operator import live
from foresail_operator.api import kinds, v1alpha1
from foresail_operator.api.conditions import Reason, Type
from foresail_operator.desired import names, proxy, zero
from foresail_operator.events import NORMAL, choose, resized
from foresail_operator.explain import Explainer, ask
from foresail_operator.status import build, change, facts
from foresail_operator.status.facts import Problem

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.clocks import Clocks
    from foresail_operator.desired.plan import Plan
    from foresail_operator.events import Recorder
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.observe import Cache, Observed
    from foresail_operator.scaling.autoscaling import Autoscaling, View

_LOG: Final = logging.getLogger(__name__)
_NO_REVISION: Final = ""
"""Of a spec that can't be carried out: no replica is of it, so none that answers makes the model ready."""


class Speaker:
    """Writes status and Events; see the module."""

    def __init__(self, kube: Kube, cache: Cache, scaling: Autoscaling, recorder: Recorder, clocks: Clocks) -> None:
        self._kube = kube
        self._cache = cache
        self._scaling = scaling
        self._recorder = recorder
        self._clocks = clocks
        self._unsaid_since: dict[Key, float] = {}
        self._taken: dict[Key, tuple[int, ...]] = {}
        """Hashes of a status that was said, and of what it became as others write there as well."""
        self._told: dict[Key, tuple[int, str]] = {}
        """Generation and reason of the trouble that was told last, until the model is ready again."""
        self._explainer = Explainer(kube, ask)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is gone."""
        self._unsaid_since.pop(key, None)
        self._taken.pop(key, None)
        self._told.pop(key, None)
        self._explainer.forget(key)

    async def say(
        self, model: ModelDeployment, raw: dict[str, Any], seen: Observed, planned: Plan | None, problem: Problem | None
    ) -> float | None:
        """Write the status if it changed; return when to write it if that may wait a moment."""
        previous = raw.get("status") or {}
        now = self._clocks.now()
        known = _facts(model, seen, planned, problem, proved=planned is not None and proved(raw, planned.revision))
        known = _with_load(known, self._scaling.view(model))
        known = dataclasses.replace(known, cold_start=self._scaling.cold_start(model.key))
        known, ask_again = await self._explained(model, known)
        status = build.build(model, known, planned.pin if planned else None, previous, now)
        changed = self._changed(model.key, previous, status)
        if changed is change.Change.NUMBERS and (left := self._unsaid(model.key)) > 0:
            return left if ask_again is None else min(left, ask_again)
        self._unsaid_since.pop(model.key, None)
        if changed is change.Change.NONE:
            return ask_again
        if await self._write_status(model.metadata, status):
            ask_again = 0.0
        news = self._untold(model, choose(previous.get("conditions") or [], status["conditions"]))
        for event in (news, resized(previous.get("scaling"), status.get("scaling"))):
            if event is not None:
                await self._recorder.record(model, *event, now)
        return ask_again

    def _untold(self, model: ModelDeployment, news: tuple[str, str, str] | None) -> tuple[str, str, str] | None:
        """Return news but for a trouble that comes and goes, as a download over a bad line: that is told once."""
        if news is None:
            return None
        kind, reason, _ = news
        trouble = (model.metadata.generation, reason)
        if kind == NORMAL:
            self._told.pop(model.key, None)
        elif self._told.get(model.key) == trouble:
            return None
        else:
            self._told[model.key] = trouble
        return news

    async def say_unreadable(self, raw: dict[str, Any], seen: Observed, words: str) -> float | None:
        """Write that a spec can't be read, which only an older CRD has let in; its children stay as they are."""
        previous = raw.get("status") or {}
        metadata = v1alpha1.Metadata.model_validate(raw["metadata"])
        scaled = seen.of(kinds.AUTOSCALER, names.autoscaler(metadata.name)) is not None
        known = _shown(metadata, seen, _NO_REVISION, Problem(Reason.INVALID_SPEC, words), scaled=scaled)
        status = build.unreadable(known, previous, self._clocks.now())
        if change.kind(previous, status) is change.Change.NONE:
            return None
        _LOG.warning("the spec does not fit the types", extra={"error": words})
        return 0.0 if await self._write_status(metadata, status) else None

    async def say_crashed(self, seen: Observed, error: Exception) -> None:
        """Write that a bug of ours keeps a spec from being carried out; whether what runs answers is said as ever."""
        if seen.model is None:
            return
        raw = seen.model.read()
        metadata, previous = v1alpha1.Metadata.model_validate(raw["metadata"]), raw.get("status") or {}
        first = next(iter(str(error).splitlines()), "")
        words = f"the operator failed at this model: {type(error).__name__}: {first[:1000]}; see its log"
        scaled = seen.of(kinds.AUTOSCALER, names.autoscaler(metadata.name)) is not None
        known = _shown(
            metadata, seen, _wanted(metadata, previous), Problem(Reason.INTERNAL_ERROR, words), scaled=scaled
        )
        status = build.unreadable(known, previous, self._clocks.now())
        if change.kind(previous, status) is change.Change.STATE:
            await self._write_status(metadata, status)

    def _changed(self, key: Key, previous: dict[str, Any], status: dict[str, Any]) -> change.Change:
        """Return how much a status differs from the one that is there, and that others may have added something to."""
        if (taken := self._taken.get(key)) is not None and taken == _hashes(status, previous):
            return change.Change.NONE
        return change.kind(previous, status)

    def _unsaid(self, key: Key) -> float:
        """Return for how long numbers that differ may still stay unsaid."""
        now = self._clocks.monotonic()
        return self._unsaid_since.setdefault(key, now) + change.NUMBERS_SECONDS - now

    async def _explained(self, model: ModelDeployment, known: facts.Facts) -> tuple[facts.Facts, float | None]:
        """Add what Events tell of a pod that says nothing itself; return when to ask again, too."""
        if (pod := known.starting) is None:
            self._explainer.forget(model.key)
            return known, None
        tls = model.spec.serving.tls is not None
        hint, again = await self._explainer.explain(model.key, pod, self._clocks.monotonic(), tls=tls)
        return dataclasses.replace(known, hint=hint), again

    async def _write_status(self, metadata: v1alpha1.Metadata, status: dict[str, Any]) -> bool:
        """Write it; return whether the answer shows an edit that no watch has shown yet.

        The answer is newer than the edit: once it is noted, the edit's own event says nothing new and asks for no look.
        """
        manifest = {
            "apiVersion": v1alpha1.API_VERSION,
            "kind": v1alpha1.KIND,
            "metadata": {"name": metadata.name, "namespace": metadata.namespace},
            "status": status,
        }
        kind, key = kinds.MODEL_DEPLOYMENT, (metadata.namespace, metadata.name)
        answer = await self._kube.apply(kind, manifest, metadata.uid, subresource="status")
        self._taken.pop(key, None)
        if (became := answer.get("status") or {}) != status:
            self._taken[key] = _hashes(status, became)
        before = self._cache.model(key)
        self._cache.note(kind, answer)
        now = self._cache.model(key)
        return before is not None and now is not None and now.body != before.body


def _hashes(*values: dict[str, Any]) -> tuple[int, ...]:
    return tuple(hash(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)) for value in values)


def proved(raw: dict[str, Any], revision: str) -> bool:
    """Return whether a replica of a revision has answered some time, as status remembers it."""
    status = raw.get("status") or {}
    loaded = any(one["type"] == Type.MODEL_LOADED and one["status"] == "True" for one in status.get("conditions") or ())
    return loaded and (status.get("revision") or {}).get("current") == revision


def _wanted(metadata: v1alpha1.Metadata, previous: dict[str, Any]) -> str:
    """Return the revision that a spec asks for, as the last status of this generation has it."""
    revision = previous.get("revision") or {}
    same = previous.get("observedGeneration") == metadata.generation
    return (revision.get("updating") or revision.get("current") or _NO_REVISION) if same else _NO_REVISION


def _facts(
    model: ModelDeployment, seen: Observed, planned: Plan | None, problem: Problem | None, *, proved: bool
) -> facts.Facts:
    revision = planned.revision if planned else _NO_REVISION
    shown = _shown(model.metadata, seen, revision, problem, scaled=model.spec.scaling is not None)
    shown = dataclasses.replace(shown, sleepy=zero.sleepy(model), proved=proved)
    if not proxy.wanted(model):
        return shown
    deployment = seen.of(kinds.DEPLOYMENT, names.proxy(model.metadata.name))
    refused = facts.rollout(deployment.read() if deployment else None).refused
    return dataclasses.replace(shown, proxies=seen.proxies, proxies_refused=refused)


def _shown(
    metadata: v1alpha1.Metadata, seen: Observed, revision: str, problem: Problem | None, *, scaled: bool
) -> facts.Facts:
    """Return what the watches have shown of a model, whatever its spec says."""
    deployment = seen.of(kinds.DEPLOYMENT, names.deployment(metadata.name))
    service = seen.of(kinds.SERVICE, names.service(metadata.name))
    autoscaler = seen.of(kinds.AUTOSCALER, names.autoscaler(metadata.name))
    return facts.Facts(
        generation=metadata.generation,
        revision=revision,
        rollout=facts.rollout(deployment.read() if deployment else None),
        pods=seen.pods,
        scaler=facts.scaler(autoscaler.read() if autoscaler else None) if scaled else None,
        problem=problem,
        # a Service whose label somebody takes off again and again is out of sight, and still there
        reachable=(problem is not None and problem.there == f"{kinds.SERVICE.name} {names.service(metadata.name)}")
        or (service is not None and live.owned(service.read()["metadata"], metadata.name, metadata.uid)),
    )


def _with_load(known: facts.Facts, view: View | None) -> facts.Facts:
    return known if view is None else dataclasses.replace(known, load=view.scaling)
