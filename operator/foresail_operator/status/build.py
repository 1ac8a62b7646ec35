"""The status object: conditions with their times, numbers, and what is remembered of the revision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from foresail_operator.api.status import LONGEST_MESSAGE
from foresail_operator.desired import meta, service
from foresail_operator.desired.images import DEFAULT_PULL_POLICY
from foresail_operator.status import conditions
from foresail_operator.status.facts import Advice

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.desired.images import Pin
    from foresail_operator.status.facts import Facts


_MORE: Final = "…"


def build(model: ModelDeployment, facts: Facts, pin: Pin | None, previous: dict[str, Any], now: str) -> dict[str, Any]:
    """Return the whole status; `previous` is the one that is there, `now` the time a change gets."""
    result: dict[str, Any] = {
        "observedGeneration": facts.generation,
        "conditions": stamp(conditions.compute(facts), previous.get("conditions") or [], facts.generation, now),
        "replicas": facts.rollout.replicas,
        "readyReplicas": facts.rollout.ready,
        "selector": ",".join(f"{name}={value}" for name, value in meta.selector(model.metadata.name).items()),
        **({"url": service.url(model)} if facts.reachable else {}),
        "model": _model(model),
    }
    revision = _revision(facts, pin, previous.get("revision") or {})
    scaling = _scaling(model, facts, previous.get("scaling") or {}, now)
    cold_start = _cold_start(model, facts, previous.get("coldStart") or {})
    parts = {"revision": revision, "scaling": scaling, "coldStart": cold_start}
    return result | {name: part for name, part in parts.items() if part}


def unreadable(known: Facts, previous: dict[str, Any], now: str) -> dict[str, Any]:
    """Return the status of a spec that can't be read: its conditions, and else what was said last."""
    statements = conditions.compute(known)
    stamped = stamp(statements, previous.get("conditions") or [], known.generation, now)
    return previous | {"observedGeneration": known.generation, "conditions": stamped}


def stamp(
    statements: tuple[conditions.Statement, ...], previous: list[dict[str, Any]], generation: int, now: str
) -> list[dict[str, Any]]:
    """Return conditions as they are written; the time moves only when the status does."""
    before = {one["type"]: one for one in previous}
    result = []
    for one in statements:
        old = before.get(one.type, {})
        since = old["lastTransitionTime"] if old.get("status") == one.status else now
        result.append(
            {
                "type": str(one.type),
                "status": one.status,
                "reason": str(one.reason),
                "message": _cut(one.message),
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return result


def _cut(message: str) -> str:
    """Return what the schema has room for; a server's own words can repeat a value of any length."""
    data = message.encode()
    if len(data) <= LONGEST_MESSAGE:
        return message
    return data[: LONGEST_MESSAGE - len(_MORE.encode())].decode(errors="ignore") + _MORE


def _model(model: ModelDeployment) -> dict[str, Any]:
    spec = model.spec.model
    address = spec.uri.partition("?")[0].partition("#")[0]  # a signed address carries its secret in the query
    return {"version": spec.version, "uri": address} | ({"digest": spec.digest} if spec.digest else {})


def _revision(facts: Facts, pin: Pin | None, previous: dict[str, Any]) -> dict[str, Any]:
    """Return which revision answered last and which one comes; a spec that can't be read keeps what was there."""
    if pin is None:
        return previous
    answering = any(pod.ready and not pod.ending and pod.revision == facts.revision for pod in facts.pods)
    current = facts.revision if answering else previous.get("current")
    answers = {} if current is None else {"current": current}
    updating = {} if current == facts.revision else {"updating": facts.revision}
    policy = {} if pin.pull_policy == DEFAULT_PULL_POLICY else {"pullPolicy": pin.pull_policy}
    return {**answers, **updating, "image": pin.image, "inputs": pin.inputs, **policy}


def _cold_start(model: ModelDeployment, facts: Facts, previous: dict[str, Any]) -> dict[str, Any]:
    """Return how the last cold start went, to the hundredth of a second; a model of a fixed size has none."""
    if model.spec.scaling is None:
        return {}
    if facts.cold_start is None:
        return previous
    phases = {name: round(seconds, 2) for name, seconds in facts.cold_start.phases}
    return {"seconds": round(facts.cold_start.seconds, 2), "phases": phases}


def _woken(model: ModelDeployment, facts: Facts, advice: Advice | None, previous: dict[str, Any]) -> Advice | None:
    """Return the advice for a model that was asleep at the last word with why it has a size, its load known or not."""
    size, scaling = facts.rollout.wanted, model.spec.scaling
    if scaling is None or size == 0 or previous.get("desired") != 0:
        return advice
    if advice is None or (advice.desired and not facts.rollout.ready):  # what is read while none answers is the sleep's
        desired, signal = (size, None) if advice is None else (advice.desired, advice.signal)
        return Advice(desired, signal, f"{desired} of {scaling.max_replicas}: woken, its load is not known yet")
    if advice.desired == 0:
        return advice
    return dataclasses.replace(advice, reason=advice.reason.replace(": ", ": woken; ", 1))


def _scaling(model: ModelDeployment, facts: Facts, previous: dict[str, Any], now: str) -> dict[str, Any]:
    """Return what the load asks for and why, in the words of the last change: numbers that move on are no news."""
    load = facts.load
    if load is None:
        return {}
    advice = _woken(model, facts, load.advice, previous)
    if advice is None:
        return previous and previous | {"mode": load.mode}
    signal = {"signal": advice.signal} if advice.signal else {}
    result = {"desired": advice.desired, **signal, "mode": load.mode}
    same = result.items() <= previous.items() and ("signal" in previous) is ("signal" in result)
    return previous if same else result | {"reason": advice.reason, "lastScaleTime": now}
