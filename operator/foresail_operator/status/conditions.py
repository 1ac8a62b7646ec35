"""The conditions, from the facts.

    Ready         a pod of this generation's revision answers
    Reconciling   not yet as the spec says, and on the way there
    Stalled       not as the spec says, and someone has to change something

Ready and Reconciling may both be true: the first replica of a rollout answers while the others are replaced. kstatus
reads that as in progress, `kubectl wait --for=condition=Ready` as ready; both are right. So may Ready and Stalled: a
replica of this revision answers, and something else of the spec can't be done, its Service for one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_operator.api.conditions import FROM_RUNTIME, Reason, Type
from foresail_operator.status.facts import Rollout

if TYPE_CHECKING:
    from foresail_operator.status.facts import Facts, Scaler
    from foresail_operator.status.pods import Pod, Trouble

_STALLING: Final = (FROM_RUNTIME - {Reason.DOWNLOAD_FAILED, Reason.MODEL_HUNG}) | {
    Reason.INVALID_SPEC,
    Reason.INTERNAL_ERROR,
    Reason.CONFLICT,
    Reason.CONTESTED,
    Reason.REFUSED,
    Reason.POD_REFUSED,
    Reason.PAUSED,
    Reason.NOT_PROGRESSING,
}
"""Reasons that time does not heal; a crash joins them once it has happened again and again."""
_HOLDING: Final = frozenset({Reason.PAUSED, Reason.QUOTA, Reason.POD_REFUSED})
"""Reasons for which no replica is being started or replaced."""
_CRASHES_TO_STALL: Final = 3
_CRASHES: Final = frozenset({Reason.CRASH, Reason.OUT_OF_MEMORY})


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One condition without its times."""

    type: Type
    status: str
    reason: Reason
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class _State:
    """Why the model is not as the spec says: None when it is."""

    reason: Reason
    message: str
    stalled: bool


def compute(facts: Facts) -> tuple[Statement, ...]:
    """Return every condition, in the order in which people read them."""
    state = _state(facts)
    answering = sum(pod.ready and not pod.ending and pod.revision == facts.revision for pod in facts.pods)
    return (
        _ready(facts, answering, state),
        _reconciling(state),
        _stalled(state),
        _loaded(facts, answering, state),
        _available(facts),
        _progressing(facts, state),
        _scaling(facts),
        *((_asleep(facts),) if facts.sleepy else ()),
    )


def _state(facts: Facts) -> _State | None:
    """Return what keeps the model from being as the spec says, the gravest first."""
    rollout = facts.rollout
    if facts.problem is not None:
        return _State(facts.problem.reason, facts.problem.message, facts.problem.reason in _STALLING)
    if rollout.refused is not None:
        reason = Reason.QUOTA if "exceeded quota" in rollout.refused else Reason.POD_REFUSED
        return _worded(reason, rollout.refused)
    if (troubled := _most_troubled(facts)) is not None and not rollout.complete:
        pod, trouble = troubled
        return _worded(trouble.reason, trouble.words, again=pod.restarts >= _CRASHES_TO_STALL)
    if rollout.stuck is not None:
        return _worded(Reason.NOT_PROGRESSING, rollout.stuck)
    if facts.asleep or (rollout.complete and (rollout.wanted == 0 or any(pod.ready for pod in facts.pods))):
        return None  # a pod's end is seen before the Deployment counts one less
    return _moving(facts) if facts.hint is None else _worded(facts.hint.reason, facts.hint.words)


def _moving(facts: Facts) -> _State:
    rollout, updated = facts.rollout, _updated(facts)
    counted = f"{updated} of {rollout.wanted} replicas are of this revision, {rollout.ready} answer"
    if rollout.paused and updated < rollout.wanted:
        return _worded(Reason.PAUSED, f"{counted}; the Deployment is paused")
    if rollout.ready == 0 or rollout.complete:
        return _State(Reason.PODS_STARTING, f"{counted}; pods are starting", stalled=False)
    if not rollout.current or rollout.updated < rollout.replicas:
        return _State(Reason.ROLLING_OUT, counted, stalled=False)
    return _State(Reason.SCALING, counted, stalled=False)


def _updated(facts: Facts) -> int:
    """Return how many replicas are of this revision; the Deployment's number may still be of the one before."""
    made = sum(pod.revision == facts.revision and not pod.ending for pod in facts.pods)
    return facts.rollout.updated if facts.rollout.current else min(made, facts.rollout.wanted)


def _worded(reason: Reason, words: str, *, again: bool = False) -> _State:
    stalled = reason in _STALLING or (again and reason in _CRASHES)
    return _State(reason, f"{words}{'' if words.endswith(('.', '!', '?')) else '.'} {reason.remedy}", stalled)


def _most_troubled(facts: Facts) -> tuple[Pod, Trouble] | None:
    """Return the trouble of the newest revision's pods that has lasted longest, by restarts and then by name.

    An evicted pod is kept for hours. It speaks only until the next one is there, and not of a size that came later.
    """
    ours = [pod for pod in facts.pods if pod.revision == facts.revision]
    found = [(pod, pod.trouble) for pod in ours if pod.trouble is not None and not pod.ending]
    if facts.rollout.wanted and facts.rollout.current and all(pod.ending for pod in ours):
        found = [(pod, pod.trouble) for pod in ours if pod.trouble is not None and pod.trouble.reason is Reason.EVICTED]
    return min(found, key=lambda item: (-item[0].restarts, item[0].name), default=None)


def _ready(facts: Facts, answering: int, state: _State | None) -> Statement:
    if answering:
        return Statement(Type.READY, "True", Reason.READY, "a replica of this revision answers")
    if state is not None:
        return Statement(Type.READY, "False", state.reason, state.message)
    if facts.asleep:
        return Statement(Type.READY, "True", Reason.ASLEEP, Reason.ASLEEP.meaning)
    if facts.rollout.wanted == 0:
        return Statement(
            Type.READY,
            "False",
            Reason.SCALED_TO_ZERO,
            f"{Reason.SCALED_TO_ZERO.meaning} {Reason.SCALED_TO_ZERO.remedy}",
        )
    return Statement(Type.READY, "False", Reason.PODS_STARTING, "pods of this revision are starting")


def _reconciling(state: _State | None) -> Statement:
    if state is None or state.stalled:
        return Statement(Type.RECONCILING, "False", Reason.IDLE, Reason.IDLE.meaning)
    return Statement(Type.RECONCILING, "True", state.reason, state.message)


def _stalled(state: _State | None) -> Statement:
    if state is None or not state.stalled:
        return Statement(Type.STALLED, "False", Reason.NOT_STALLED, Reason.NOT_STALLED.meaning)
    return Statement(Type.STALLED, "True", state.reason, state.message)


def _asleep(facts: Facts) -> Statement:
    sleeps = facts.asleep and facts.rollout.current and facts.rollout.replicas == 0
    reason = Reason.ASLEEP if sleeps else Reason.AWAKE
    return Statement(Type.ASLEEP, "True" if sleeps else "False", reason, reason.meaning)


def _loaded(facts: Facts, answering: int, state: _State | None) -> Statement:
    """Once a replica of the revision has answered this stays true until one says otherwise.

    A model may sleep only after that, and it must not be forgotten because a pod's end was seen before its cause.
    """
    if not answering and state is not None and state.reason in FROM_RUNTIME:
        return Statement(Type.MODEL_LOADED, "False", state.reason, state.message)
    if answering or facts.proved:
        return Statement(Type.MODEL_LOADED, "True", Reason.LOADED, Reason.LOADED.meaning)
    return Statement(Type.MODEL_LOADED, "Unknown", Reason.LOADING, "no replica of this revision has said so yet")


def _available(facts: Facts) -> Statement:
    ready = sum(pod.ready and not pod.ending for pod in facts.pods)
    if ready and not facts.reachable and facts.problem is not None:
        words = f"replicas answer, but no Service of this model leads to them. {facts.problem.message}"
        return Statement(Type.AVAILABLE, "False", facts.problem.reason, words)
    if ready:
        return Statement(Type.AVAILABLE, "True", Reason.READY, f"requests are answered{_unproxied(facts)}")
    return Statement(Type.AVAILABLE, "False", Reason.NONE_AVAILABLE, Reason.NONE_AVAILABLE.meaning)


def _unproxied(facts: Facts) -> str:
    """Return what to add while a model has no ready proxy that should have one; "" otherwise."""
    if facts.proxies is None or any(pod.ready and not pod.ending for pod in facts.proxies):
        return ""
    troubles = (pod.trouble for pod in facts.proxies if pod.trouble is not None)
    run = any(pod.address and not pod.ending for pod in facts.proxies)
    waiting = (
        "proxies run and find no replica yet: if that lasts, see whether the chart's clusterDomain is the cluster's"
        if run
        else "proxies are starting"
    )
    why = next((f"{trouble.reason}: {trouble.words}" for trouble in troubles), facts.proxies_refused or waiting)
    return f", balanced by connection as no proxy is ready; {why}"


def _progressing(facts: Facts, state: _State | None) -> Statement:
    if facts.rollout.stuck is not None:
        return Statement(Type.PROGRESSING, "False", Reason.NOT_PROGRESSING, facts.rollout.stuck)
    if state is not None and state.reason in _HOLDING:
        return Statement(Type.PROGRESSING, "False", state.reason, state.message)
    if facts.problem is not None and _at_rest(facts, state):
        return Statement(Type.PROGRESSING, "False", facts.problem.reason, facts.problem.message)
    if facts.rollout.complete:
        return Statement(Type.PROGRESSING, "True", Reason.COMPLETE, Reason.COMPLETE.meaning)
    return Statement(Type.PROGRESSING, "True", Reason.ROLLING_OUT, "replicas are being started or replaced")


def _at_rest(facts: Facts, state: _State | None) -> bool:
    """Return whether nothing is rolled out: there is no Deployment, or one that is done and is not told of the spec."""
    stalled = state is not None and state.stalled
    return facts.rollout == Rollout() or (stalled and facts.rollout.complete)


def _scaling(facts: Facts) -> Statement:
    scaler = facts.scaler
    if scaler is None:
        return Statement(Type.SCALING_ACTIVE, "False", Reason.FIXED_SIZE, Reason.FIXED_SIZE.meaning)
    if facts.asleep:
        return Statement(Type.SCALING_ACTIVE, "False", Reason.SCALING_DISABLED, Reason.SCALING_DISABLED.meaning)
    if scaler.doubled:
        return _contested(scaler)
    if scaler.there and facts.load is not None and facts.load.by_bounds:
        return Statement(Type.SCALING_ACTIVE, "True", Reason.BOUNDS_SET, facts.load.words)
    return _by_autoscaler(facts, scaler)


def _contested(scaler: Scaler) -> Statement:
    words = f"the HPA stands still: {scaler.words}. {Reason.CONTESTED.remedy}"
    return Statement(Type.SCALING_ACTIVE, "False", Reason.CONTESTED, words)


def _by_autoscaler(facts: Facts, scaler: Scaler) -> Statement:
    if not scaler.there and facts.problem is not None:
        return Statement(Type.SCALING_ACTIVE, "False", facts.problem.reason, facts.problem.message)
    waiting = facts.load is not None and not any(pod.ready for pod in facts.pods)  # for a pod that says its load
    if scaler.active is None or (waiting and not scaler.active):
        words = f"{Reason.SCALING_STARTING.meaning}{_way(facts)}"
        return Statement(Type.SCALING_ACTIVE, "Unknown", Reason.SCALING_STARTING, words)
    if scaler.active:
        words = facts.load.words if facts.load else Reason.SCALING_READY.meaning
        return Statement(Type.SCALING_ACTIVE, "True", Reason.SCALING_READY, words)
    words = f"{scaler.words}.{_way(facts)} {Reason.SCALING_FAILED.remedy}"
    return Statement(Type.SCALING_ACTIVE, "False", Reason.SCALING_FAILED, words)


def _way(facts: Facts) -> str:
    """Return the sentence of which way the load takes to the HPA, to follow another; "" where it takes none."""
    return f" {facts.load.words[0].upper()}{facts.load.words[1:]}." if facts.load else ""
