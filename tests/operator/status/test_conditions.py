"""Conditions from facts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from foresail_operator.api.conditions import Reason, Type
from foresail_operator.status import conditions, facts
from foresail_operator.status.facts import Facts, LoadScaling, Problem, Rollout, Scaler
from foresail_operator.status.pods import Pod, Trouble

DONE = Rollout(wanted=1, replicas=1, updated=1, ready=1, current=True)
STARTING = Rollout(wanted=1, replicas=1, updated=1, ready=0, current=True)


def pod(**changes: Any) -> Pod:
    values: dict[str, Any] = {
        "name": "p",
        "uid": "u",
        "version": 1,
        "revision": "new",
        "ready": True,
        "ending": False,
    }
    return Pod(**values | changes)


def state(
    rollout: Rollout = DONE,
    pods: tuple[Pod, ...] = (),
    scaler: Scaler | None = None,
    problem: Problem | None = None,
    load: LoadScaling | None = None,
    *,
    sleepy: bool = False,
    proved: bool = False,
) -> dict[Type, tuple[str, Reason, str]]:
    known = Facts(1, "new", rollout, pods, scaler, load=load, problem=problem, sleepy=sleepy, proved=proved)
    return {one.type: (one.status, one.reason, one.message) for one in conditions.compute(known)}


def short(found: dict[Type, tuple[str, Reason, str]]) -> tuple[str, str, str]:
    return found[Type.READY][0], found[Type.RECONCILING][0], found[Type.STALLED][0]


def test_a_finished_rollout_is_ready_and_nothing_else() -> None:
    found = state(pods=(pod(),))
    assert short(found) == ("True", "False", "False")
    assert [found[kind][0] for kind in (Type.MODEL_LOADED, Type.AVAILABLE, Type.PROGRESSING)] == ["True"] * 3


def test_every_condition_is_always_stated() -> None:
    assert list(state()) == [one for one in Type if one is not Type.ASLEEP]
    assert list(state(sleepy=True)) == list(Type)


def test_a_model_asleep_is_ready_if_its_revision_has_answered() -> None:
    nobody = Rollout(current=True)
    disabled = facts.scaler({"status": {"conditions": [{"type": "ScalingActive", "reason": "ScalingDisabled"}]}})
    load = LoadScaling("bounds", "the operator sets the bounds", by_bounds=True)
    asleep = state(rollout=nobody, pods=(), sleepy=True, proved=True, scaler=disabled, load=load)
    assert asleep[Type.SCALING_ACTIVE][:2] == ("False", Reason.SCALING_DISABLED)
    awake = state(rollout=Rollout(wanted=1), pods=(), sleepy=True, proved=True, scaler=disabled)
    assert awake[Type.SCALING_ACTIVE][:2] == ("Unknown", Reason.SCALING_STARTING)
    assert asleep[Type.READY][:2] == ("True", Reason.ASLEEP)
    assert asleep[Type.ASLEEP][:2] == ("True", Reason.ASLEEP)
    assert asleep[Type.MODEL_LOADED][:2] == ("True", Reason.LOADED)
    unproved = state(rollout=nobody, pods=(), sleepy=True)
    assert unproved[Type.READY][0] == "False"
    assert unproved[Type.ASLEEP][:2] == ("False", Reason.AWAKE)


@pytest.mark.parametrize(
    "seen",
    [
        Rollout(wanted=0, replicas=1, updated=1, ready=1),
        Rollout(wanted=1, replicas=1, updated=1, ready=0, current=True),
    ],
    ids=["before the Deployment's controller has looked", "before the Deployment's new size is seen"],
)
def test_a_model_that_goes_to_sleep_is_still_known_to_have_answered(seen: Rollout) -> None:
    found = state(seen, (pod(ready=False, ending=True),), sleepy=True, proved=True)
    assert found[Type.MODEL_LOADED][:2] == ("True", Reason.LOADED)


def test_a_model_that_falls_asleep_stays_ready_and_is_asleep_once_no_replica_is_left() -> None:
    found = state(Rollout(wanted=0, replicas=1, updated=1, ready=1), (pod(ending=True),), sleepy=True, proved=True)
    assert short(found) == ("True", "False", "False")
    assert found[Type.READY][1] is Reason.ASLEEP
    assert found[Type.ASLEEP][:2] == ("False", Reason.AWAKE)


def test_a_crash_takes_back_that_the_model_is_loaded() -> None:
    trouble = Trouble(Reason.MODEL_INVALID, "no such operator")
    found = state(STARTING, (pod(ready=False, trouble=trouble),), proved=True)
    assert found[Type.MODEL_LOADED][:2] == ("False", Reason.MODEL_INVALID)


def test_pods_that_start_are_on_the_way() -> None:
    found = state(STARTING, (pod(ready=False),))
    assert short(found) == ("False", "True", "False")
    assert found[Type.READY][1] is Reason.PODS_STARTING
    assert found[Type.MODEL_LOADED][:2] == ("Unknown", Reason.LOADING)
    assert found[Type.AVAILABLE][1] is Reason.NONE_AVAILABLE


def test_ready_needs_a_replica_of_this_generations_revision() -> None:
    found = state(
        Rollout(wanted=1, replicas=2, updated=1, ready=1, current=True),
        (pod(revision="old"), pod(name="q", ready=False)),
    )
    assert short(found) == ("False", "True", "False")
    assert found[Type.AVAILABLE][0] == "True"
    assert found[Type.READY][1] is Reason.ROLLING_OUT


def test_first_answering_replica_of_a_rollout_is_ready_while_the_rest_is_replaced() -> None:
    found = state(
        Rollout(wanted=2, replicas=3, updated=1, ready=3, current=True), (pod(), pod(name="q", revision="old"))
    )
    assert short(found) == ("True", "True", "False")
    assert found[Type.RECONCILING][1] is Reason.ROLLING_OUT


def test_a_terminating_replica_does_not_count() -> None:
    assert state(STARTING, (pod(ending=True),))[Type.READY][0] == "False"


def test_growing_is_on_the_way_and_ready() -> None:
    found = state(Rollout(wanted=3, replicas=3, updated=3, ready=1, current=True), (pod(),))
    assert short(found) == ("True", "True", "False")
    assert found[Type.RECONCILING][1:] == (
        Reason.SCALING,
        "3 of 3 replicas are of this revision, 1 answer",
    )


def test_a_deployment_that_was_not_looked_at_yet_is_no_finished_rollout() -> None:
    stale = Rollout(wanted=1, replicas=1, updated=1, ready=1, current=False)
    assert state(stale, (pod(revision="old"),))[Type.RECONCILING][0] == "True"


def test_no_replicas_wanted_is_neither_ready_nor_stalled() -> None:
    found = state(Rollout(current=True))
    assert short(found) == ("False", "False", "False")
    assert found[Type.READY][1] is Reason.SCALED_TO_ZERO


def test_a_finished_rollout_whose_pods_are_not_seen_yet_is_not_ready() -> None:
    assert state(DONE)[Type.READY][1] is Reason.PODS_STARTING


@pytest.mark.parametrize(
    ("reason", "restarts", "stalled"),
    [
        (Reason.UNSCHEDULABLE, 0, False),
        (Reason.IMAGE, 0, False),
        (Reason.CRASH, 1, False),
        (Reason.CRASH, 3, True),
        (Reason.OUT_OF_MEMORY, 4, True),
        (Reason.DOWNLOAD_FAILED, 5, False),
        (Reason.DIGEST_MISMATCH, 0, True),
        (Reason.MODEL_INVALID, 1, True),
    ],
)
def test_a_pods_words_reach_the_conditions_with_what_to_do(reason: Reason, restarts: int, stalled: bool) -> None:
    found = state(STARTING, (pod(ready=False, restarts=restarts, trouble=Trouble(reason, "its own words")),))
    assert found[Type.READY] == ("False", reason, f"its own words. {reason.remedy}")
    assert found[Type.STALLED][0] == str(stalled)
    assert found[Type.RECONCILING][0] == str(not stalled)


def test_a_model_that_can_not_be_loaded_is_said_to_be_not_loaded() -> None:
    found = state(STARTING, (pod(ready=False, trouble=Trouble(Reason.NOT_A_MODEL, "a page.")),))
    assert found[Type.MODEL_LOADED] == ("False", Reason.NOT_A_MODEL, f"a page. {Reason.NOT_A_MODEL.remedy}")


def test_what_events_tell_of_a_silent_pod_is_the_reason() -> None:
    silent = pod(ready=False)
    known = Facts(
        generation=1,
        revision="new",
        rollout=STARTING,
        pods=(silent,),
        scaler=None,
        hint=Trouble(Reason.VOLUME, "configmap not found"),
    )
    ready = next(one for one in conditions.compute(known) if one.type is Type.READY)
    assert (ready.reason, "configmap not found" in ready.message) == (Reason.VOLUME, True)
    assert known.starting is silent
    for other in (pod(), pod(ready=False, ending=True), pod(ready=False, revision="old")):
        assert Facts(1, "new", STARTING, (other,), None).starting is None


def test_an_old_revisions_trouble_is_not_this_ones() -> None:
    old = pod(revision="old", ready=False, trouble=Trouble(Reason.CRASH, "x"))
    assert state(STARTING, (old, pod(name="q", ready=False)))[Type.READY][1] is Reason.PODS_STARTING


def test_the_pod_that_failed_most_often_speaks() -> None:
    often = pod(name="b", ready=False, restarts=2, trouble=Trouble(Reason.CRASH, "b"))
    once = pod(name="a", ready=False, restarts=1, trouble=Trouble(Reason.IMAGE, "a"))
    assert state(STARTING, (once, often))[Type.READY][1] is Reason.CRASH


def test_an_eviction_speaks_only_while_no_living_pod_does() -> None:
    gone = pod(name="a", ready=False, ending=True, trouble=Trouble(Reason.EVICTED, "low on memory"))
    assert state(STARTING, (gone,))[Type.READY][1] is Reason.EVICTED
    living = pod(name="b", ready=False, trouble=Trouble(Reason.UNSCHEDULABLE, "no node"))
    assert state(STARTING, (gone, living))[Type.READY][1] is Reason.UNSCHEDULABLE


@pytest.mark.parametrize(
    ("rollout", "living", "reason"),
    [
        (Rollout(wanted=3, replicas=3, updated=3, ready=1, current=True), True, Reason.SCALING),
        (Rollout(wanted=0, replicas=1, updated=1, ready=1), True, Reason.IDLE),
        (Rollout(wanted=0, replicas=1, updated=1, ready=1, current=True), False, Reason.IDLE),
        (Rollout(wanted=1, current=False), False, Reason.PODS_STARTING),
    ],
    ids=["it grows", "it falls asleep", "its last replica is gone", "it wakes"],
)
def test_a_pod_that_was_evicted_long_ago_has_no_word_in_what_happens_now(
    rollout: Rollout, living: bool, reason: Reason
) -> None:
    gone = pod(name="a", ready=False, ending=True, trouble=Trouble(Reason.EVICTED, "low on memory"))
    found = state(rollout, (gone, pod(name="b")) if living else (gone,), sleepy=True, proved=True)
    assert found[Type.RECONCILING][1] is reason
    assert found[Type.STALLED][0] == "False"


@pytest.mark.parametrize(
    ("words", "reason", "stalled"),
    [
        ('pods "x" is forbidden: exceeded quota: q', Reason.QUOTA, "False"),
        ('pods "x" is forbidden: violates PodSecurity "restricted"', Reason.POD_REFUSED, "True"),
    ],
)
def test_pods_that_can_not_be_created_say_why(words: str, reason: Reason, stalled: str) -> None:
    found = state(Rollout(wanted=1, current=True, refused=words))
    assert (found[Type.READY][1], found[Type.STALLED][0]) == (reason, stalled)
    assert words in found[Type.READY][2]


def test_a_rollout_past_its_deadline_is_stalled() -> None:
    found = state(Rollout(wanted=1, replicas=1, updated=1, current=True, stuck="no progress"), (pod(ready=False),))
    assert found[Type.STALLED][:2] == ("True", Reason.NOT_PROGRESSING)
    assert found[Type.PROGRESSING] == ("False", Reason.NOT_PROGRESSING, "no progress")


def test_a_problem_of_the_operator_comes_before_everything_and_does_not_hide_what_answers() -> None:
    problem = Problem(Reason.CONFLICT, "Service x belongs to y")
    found = state(pods=(pod(),), problem=problem)
    assert short(found) == ("True", "False", "True")
    assert found[Type.STALLED][1:] == (Reason.CONFLICT, "Service x belongs to y")
    waiting = state(problem=Problem(Reason.WAITING_FOR_REMOVAL, "x"))
    assert short(waiting) == ("False", "True", "False")


@pytest.mark.parametrize(
    ("scaler", "expected"),
    [
        (None, ("False", Reason.FIXED_SIZE)),
        (Scaler(), ("Unknown", Reason.SCALING_STARTING)),
        (Scaler(active=True), ("True", Reason.SCALING_READY)),
        (Scaler(active=False, words="no metrics"), ("False", Reason.SCALING_FAILED)),
    ],
)
def test_scaling_says_what_the_autoscaler_says(scaler: Scaler | None, expected: tuple[str, Reason]) -> None:
    found = state(scaler=scaler)[Type.SCALING_ACTIVE]
    assert found[:2] == expected
    assert scaler is None or scaler.words in found[2]


def test_scaling_on_the_load_says_which_way_it_takes_and_waits_for_the_first_pod() -> None:
    by_hpa = LoadScaling("custom", "the HPA reads the load", by_bounds=False)
    by_bounds = LoadScaling("bounds", "the operator sets the bounds", by_bounds=True)
    failing, reading = Scaler(active=False, words="no metrics"), Scaler(active=True)
    starting = state(scaler=failing, load=by_hpa)[Type.SCALING_ACTIVE]
    assert starting[:2] == ("Unknown", Reason.SCALING_STARTING)
    assert starting[2].endswith(" The HPA reads the load.")
    found = state(scaler=failing, load=by_hpa, pods=(pod(),))
    assert found[Type.SCALING_ACTIVE][:2] == ("False", Reason.SCALING_FAILED)
    assert found[Type.SCALING_ACTIVE][2].startswith("no metrics. The HPA reads the load. ")
    found = state(scaler=reading, load=by_hpa, pods=(pod(),))
    assert found[Type.SCALING_ACTIVE] == ("True", Reason.SCALING_READY, "the HPA reads the load")
    found = state(scaler=failing, load=by_bounds)
    assert found[Type.SCALING_ACTIVE] == ("True", Reason.BOUNDS_SET, "the operator sets the bounds")
    found = state(scaler=Scaler(active=False, words="two HPAs", doubled=True), load=by_bounds)
    assert found[Type.SCALING_ACTIVE][:2] == ("False", Reason.CONTESTED)
    assert "two HPAs. " in found[Type.SCALING_ACTIVE][2]


def test_a_deployments_numbers_are_read() -> None:
    deployment = {
        "metadata": {"generation": 2},
        "spec": {"replicas": 3},
        "status": {
            "observedGeneration": 2,
            "replicas": 3,
            "updatedReplicas": 3,
            "readyReplicas": 3,
            "conditions": [
                {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "late"},
                {"type": "ReplicaFailure", "status": "True", "message": "quota"},
            ],
        },
    }
    read = facts.rollout(deployment)
    assert read == Rollout(3, 3, 3, 3, current=True, stuck="late", refused="quota")
    assert read.complete
    assert facts.rollout(None) == Rollout()
    assert not facts.rollout(deployment | {"metadata": {"generation": 3}}).complete


def test_an_autoscalers_words_are_read() -> None:
    def read(**condition: str) -> Scaler:
        return facts.scaler({"status": {"conditions": [{"type": "ScalingActive"} | condition]}})

    assert facts.scaler({}) == Scaler()
    assert facts.scaler(None) == Scaler(there=False)
    assert read(status="True") == Scaler(active=True)
    assert read(status="False", reason="FailedGetResourceMetric", message="m") == Scaler(active=False, words="m")
    assert read(status="False", reason="ScalingDisabled") == Scaler()
    assert read(status="False", reason="AmbiguousSelector", message="m") == Scaler(
        active=False, words="m", doubled=True
    )


def test_a_model_whose_proxies_do_not_start_says_so_while_its_replicas_answer() -> None:
    def said(*proxies: Pod, refused: str | None = None) -> str:
        known = Facts(1, "new", DONE, (pod(),), None, proxies=proxies, proxies_refused=refused)
        return next(one.message for one in conditions.compute(known) if one.type is Type.AVAILABLE)

    broken = pod(name="x", ready=False, proxy=True, trouble=Trouble(Reason.IMAGE, "not found"))
    assert said() == "requests are answered, balanced by connection as no proxy is ready; proxies are starting"
    assert said(refused="exceeded quota: small").endswith("no proxy is ready; exceeded quota: small")
    lost = pod(name="x", ready=False, proxy=True, address="10.0.0.9")
    assert "find no replica yet: if that lasts, see whether the chart's clusterDomain" in said(lost)
    assert said(broken).endswith("ImagePullFailed: not found")
    assert said(broken, pod(proxy=True)) == "requests are answered"


def test_a_replica_set_that_can_t_be_created_is_told_like_its_pods() -> None:
    words = 'replicasets.apps "fraud-1" is forbidden: exceeded quota: q'
    condition = {"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": words}
    deployment = {"metadata": {"generation": 2}, "spec": {"replicas": 1}}
    read = facts.rollout(deployment | {"status": {"observedGeneration": 1, "conditions": [condition]}})
    assert state(read)[Type.READY][1] is Reason.QUOTA
    assert state(read)[Type.PROGRESSING][:2] == ("False", Reason.QUOTA)


def test_numbers_of_an_older_generation_are_not_told_of_this_one() -> None:
    old = Rollout(wanted=2, replicas=2, updated=2, ready=2, current=False)
    found = state(old, (pod(revision="old"), pod(name="q", revision="old")))
    assert found[Type.RECONCILING][2] == "0 of 2 replicas are of this revision, 2 answer"


def test_a_paused_deployment_is_told_with_the_way_on() -> None:
    held = Rollout(wanted=1, replicas=1, updated=0, ready=1, current=True, paused=True)
    found = state(held, (pod(revision="old"),))
    assert found[Type.STALLED][:2] == ("True", Reason.PAUSED)
    assert found[Type.STALLED][2].startswith(
        "0 of 1 replicas are of this revision, 1 answer; the Deployment is paused. "
    )
    assert "kubectl rollout resume" in found[Type.STALLED][2]
    assert found[Type.PROGRESSING][:2] == ("False", Reason.PAUSED)
    unseen = dataclasses.replace(DONE, paused=True, current=False)
    assert short(state(unseen, (pod(),))) == ("True", "True", "False"), "nothing is held up: all are of this revision"
    assert short(state(dataclasses.replace(DONE, paused=True), (pod(),))) == ("True", "False", "False")


def test_the_end_of_the_only_replica_is_told_before_the_deployment_counts_it() -> None:
    assert short(state(DONE, (pod(ending=True, ready=False),))) == ("False", "True", "False")


def test_an_autoscaler_that_was_refused_sets_no_bounds() -> None:
    problem = Problem(Reason.REFUSED, "HorizontalPodAutoscaler x: no")
    load = LoadScaling("bounds", "why", by_bounds=True)
    found = state(DONE, (pod(),), Scaler(there=False), problem, load)
    assert found[Type.SCALING_ACTIVE] == ("False", Reason.REFUSED, "HorizontalPodAutoscaler x: no")


@pytest.mark.parametrize(
    ("rollout", "reason", "expected"),
    [
        (Rollout(), Reason.INVALID_SPEC, ("False", Reason.INVALID_SPEC)),
        (Rollout(), Reason.WEBHOOK_UNAVAILABLE, ("False", Reason.WEBHOOK_UNAVAILABLE)),
        (DONE, Reason.REFUSED, ("False", Reason.REFUSED)),
        (DONE, Reason.WEBHOOK_UNAVAILABLE, ("True", Reason.COMPLETE)),
        (STARTING, Reason.CONFLICT, ("True", Reason.ROLLING_OUT)),
    ],
)
def test_nothing_progresses_where_nothing_can_be_rolled_out(
    rollout: Rollout, reason: Reason, expected: tuple[str, Reason]
) -> None:
    assert state(rollout, problem=Problem(reason, "words"))[Type.PROGRESSING][:2] == expected
