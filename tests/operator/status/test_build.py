"""The status object, and what a change of it is worth."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from foresail_operator.api.conditions import Reason
from foresail_operator.api.status import Status
from foresail_operator.desired.images import Pin
from foresail_operator.events import choose, resized
from foresail_operator.status import build, change
from foresail_operator.status.facts import Advice, ColdStart, Facts, LoadScaling, Problem, Rollout
from foresail_operator.status.pods import Pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment

DONE = Rollout(wanted=1, replicas=1, updated=1, ready=1, current=True)
POD = Pod(name="p", uid="u", version=1, revision="new", ready=True, ending=False)
PIN = Pin("runtime:1", "abc")


def known(rollout: Rollout = DONE, pods: tuple[Pod, ...] = (POD,), problem: Problem | None = None) -> Facts:
    return Facts(generation=2, revision="new", rollout=rollout, pods=pods, scaler=None, problem=problem)


def test_status_has_what_the_schema_has(make_model: Callable[..., ModelDeployment]) -> None:
    status = build.build(make_model(), known(), PIN, {}, "now")
    read = Status.model_validate(status)
    assert read.model_dump(by_alias=True, exclude_none=True, mode="json") == status
    assert (status["replicas"], status["readyReplicas"], status["observedGeneration"]) == (1, 1, 2)
    assert status["selector"] == "foresail.dev/model=fraud"
    assert status["revision"] == {"current": "new", "image": "runtime:1", "inputs": "abc"}


def test_a_pull_policy_that_is_not_the_default_is_remembered(make_model: Callable[..., ModelDeployment]) -> None:
    status = build.build(make_model(), known(), Pin("runtime:1", "abc", "Always"), {}, "now")
    assert status["revision"]["pullPolicy"] == "Always"


def test_a_cold_start_is_said_in_hundredths_and_stays_until_the_next_one(
    make_model: Callable[..., ModelDeployment],
) -> None:
    model = make_model(scaling={"maxReplicas": 2})
    cold = ColdStart(1.23456, (("schedule", 0.0123), ("load", 1.2222)))
    status = build.build(model, dataclasses.replace(known(), cold_start=cold), PIN, {}, "now")
    assert status["coldStart"] == {"seconds": 1.23, "phases": {"schedule": 0.01, "load": 1.22}}
    assert Status.model_validate(status).model_dump(by_alias=True, exclude_none=True, mode="json") == status
    assert build.build(model, known(), PIN, status, "now")["coldStart"] == status["coldStart"]
    assert "coldStart" not in build.build(make_model(), known(), PIN, status, "now")


def test_times_move_only_when_a_status_does(make_model: Callable[..., ModelDeployment]) -> None:
    first = build.build(make_model(), known(), PIN, {}, "one")
    assert build.build(make_model(), known(), PIN, first, "two") == first
    down = build.build(make_model(), known(Rollout(wanted=1, current=True), ()), PIN, first, "three")
    times = {one["type"]: one["lastTransitionTime"] for one in down["conditions"]}
    assert times["Ready"] == times["Reconciling"] == "three"
    assert times["Stalled"] == times["ScalingActive"] == "one"


@pytest.mark.parametrize(("given", "written"), [("x" * 32_768, "x" * 32_768), ("é" * 20_000, "é" * 16_382 + "…")])
def test_a_message_of_any_length_is_cut_to_what_the_schema_takes(
    make_model: Callable[..., ModelDeployment], given: str, written: str
) -> None:
    status = build.build(make_model(), known(pods=(), problem=Problem(Reason.REFUSED, given)), PIN, {}, "now")
    assert Status.model_validate(status).conditions[0].message == written


def test_no_revision_is_current_before_one_has_answered(make_model: Callable[..., ModelDeployment]) -> None:
    status = build.build(make_model(), known(pods=()), PIN, {}, "now")
    assert status["revision"] == {"updating": "new", "image": "runtime:1", "inputs": "abc"}
    assert build.build(make_model(), known(pods=()), PIN, status, "now")["revision"] == status["revision"]
    assert build.build(make_model(), known(), PIN, status, "now")["revision"]["current"] == "new"


def test_answering_revision_stays_current_until_the_new_one_answers(
    make_model: Callable[..., ModelDeployment],
) -> None:
    before = {"revision": {"current": "old", "image": "runtime:0", "inputs": "x"}}
    status = build.build(make_model(), known(pods=()), PIN, before, "now")
    assert status["revision"] == {"current": "old", "updating": "new", "image": "runtime:1", "inputs": "abc"}
    status = build.build(make_model(), known(), PIN, status, "now")
    assert status["revision"] == {"current": "new", "image": "runtime:1", "inputs": "abc"}


def test_a_spec_that_can_not_be_carried_out_keeps_the_revision(make_model: Callable[..., ModelDeployment]) -> None:
    before = {"revision": {"current": "old", "image": "runtime:0", "inputs": "x"}}
    problem = Problem(Reason.INVALID_SPEC, "x")
    assert build.build(make_model(), known(problem=problem), None, before, "now")["revision"] == before["revision"]
    assert "revision" not in build.build(make_model(), known(problem=problem), None, {}, "now")


def test_a_signed_address_is_shown_without_its_signature(make_model: Callable[..., ModelDeployment]) -> None:
    model = make_model(model={"uri": "https://host/a.onnx#more?signature=secret", "digest": "sha256:" + "0" * 64})
    status = build.build(model, known(), PIN, {}, "now")
    assert status["model"] == {"version": "1", "uri": "https://host/a.onnx", "digest": "sha256:" + "0" * 64}


def test_a_change_that_nobody_waits_for_is_one_of_numbers(make_model: Callable[..., ModelDeployment]) -> None:
    first = build.build(make_model(), known(), PIN, {}, "one")
    grown = build.build(make_model(), known(Rollout(3, 3, 3, 1, current=True)), PIN, first, "two")
    gone = build.build(make_model(), known(Rollout(1, current=True), ()), PIN, first, "two")
    assert change.kind(first, first) is change.Change.NONE
    assert change.kind(first, grown) is change.Change.NUMBERS
    assert change.kind(first, gone) is change.Change.STATE
    assert change.kind({}, first) is change.Change.STATE
    assert change.kind(first, first | {"observedGeneration": 3}) is change.Change.STATE


def conditions(**given: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"type": kind, "status": status, "reason": reason, "message": "m"} for kind, (status, reason) in given.items()
    ]


READY = conditions(Ready=("True", "Ready"), Reconciling=("False", "Idle"))
STARTING = conditions(Ready=("False", "PodsStarting"), Reconciling=("True", "PodsStarting"))
CRASHING = conditions(Ready=("False", "ContainerCrashed"), Reconciling=("True", "ContainerCrashed"))
STALLED = conditions(Ready=("False", "ContainerCrashed"), Stalled=("True", "ContainerCrashed"))
GROWING = conditions(Ready=("True", "Ready"), Reconciling=("True", "Scaling"))
BLOCKED = conditions(Ready=("True", "Ready"), Reconciling=("True", "Unschedulable"))


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ([], STARTING, None),
        (STARTING, READY, ("Normal", "Ready", "m")),
        (READY, GROWING, None),
        (GROWING, READY, None),
        (STARTING, CRASHING, ("Warning", "ContainerCrashed", "m")),
        (CRASHING, CRASHING, None),
        (CRASHING, STALLED, None),
        (CRASHING, READY, ("Normal", "Ready", "m")),
        (READY, BLOCKED, ("Warning", "Unschedulable", "m")),
        (BLOCKED, READY, ("Normal", "Ready", "m")),
    ],
)
def test_events_tell_news_and_only_news(before: Any, after: Any, event: Any) -> None:
    assert choose(before, after) == event


def scaled(advice: Advice | None) -> Facts:
    load = LoadScaling("custom", "the HPA reads the load", by_bounds=False, advice=advice)
    return dataclasses.replace(known(), load=load)


def test_the_wanted_size_keeps_the_words_of_its_last_change(make_model: Callable[..., ModelDeployment]) -> None:
    def say(facts: Facts, before: dict[str, Any], now: str = "now") -> Any:
        return build.build(make_model(), facts, PIN, before, now).get("scaling")

    assert say(scaled(None), {}) is None
    first = say(scaled(Advice(3, "concurrency", "3 of 10: 46 requests in flight")), {})
    assert first == {
        "desired": 3,
        "signal": "concurrency",
        "mode": "custom",
        "reason": "3 of 10: 46 requests in flight",
        "lastScaleTime": "now",
    }
    before = {"scaling": first}
    assert say(scaled(Advice(3, "concurrency", "3 of 10: 44 requests in flight")), before, "later") == first
    assert say(scaled(None), before, "later") == first
    two = say(scaled(Advice(2, "concurrency", "2 of 10")), before, "later")
    assert (two["reason"], two["lastScaleTime"]) == ("2 of 10", "later")
    silent = say(scaled(Advice(3, None, "nobody answers")), before)
    assert silent == {"desired": 3, "mode": "custom", "reason": "nobody answers", "lastScaleTime": "now"}
    assert say(scaled(Advice(3, "concurrency", "3 of 10")), {"scaling": silent})["reason"] == "3 of 10"
    assert say(known(), before) is None


def test_a_model_that_wakes_wants_its_size_and_says_why_before_its_load_is_known_and_when_it_is(
    make_model: Callable[..., ModelDeployment],
) -> None:
    def say(advice: Advice | None, before: Any, wanted: int, ready: int = 0) -> Any:
        facts = dataclasses.replace(scaled(advice), rollout=Rollout(wanted=wanted, ready=ready))
        return build.build(make_model(scaling={"maxReplicas": 3}), facts, PIN, {"scaling": before}, "now")["scaling"]

    asleep = say(Advice(0, None, "0 of 3: asleep"), {"desired": 1, "signal": "concurrency"}, 0)
    assert (asleep["desired"], asleep["reason"], "signal" in asleep) == (0, "0 of 3: asleep", False)
    assert say(None, asleep, 0) == asleep
    awake = say(None, asleep, 1)
    assert (awake["desired"], awake["reason"]) == (1, "1 of 3: woken, its load is not known yet")
    assert say(None, awake, 1) == awake
    idle = Advice(1, "concurrency", "1 of 3: 0 requests in flight")  # known within the second in which all is written
    assert say(idle, asleep, 1, ready=1)["reason"] == "1 of 3: woken; 0 requests in flight"
    starting = say(idle, asleep, 1)  # the number is the last one of the sleep
    assert (starting["signal"], starting["reason"]) == ("concurrency", "1 of 3: woken, its load is not known yet")
    assert say(idle, awake, 1)["reason"] == "1 of 3: 0 requests in flight"
    assert say(Advice(0, None, "0 of 3: asleep"), asleep, 1) == asleep  # the last look at the load is of before
    assert resized(asleep, awake) == (
        "Normal",
        "ScalingUp",
        "from 0 replicas to 1 of 3: woken, its load is not known yet",
    )


def test_an_event_tells_of_a_size_that_is_newly_wanted() -> None:
    three = {"desired": 3, "reason": "3 of 10: 46 requests in flight"}
    assert resized({"desired": 1}, three) == (
        "Normal",
        "ScalingUp",
        "from 1 replica to 3 of 10: 46 requests in flight",
    )
    assert resized({"desired": 4}, three) is not None
    assert resized(None, three) is None
    assert resized(three, three) is None
    assert resized(three, None) is None
