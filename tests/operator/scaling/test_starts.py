"""From what a watch shows and a runtime tells to the parts of a start."""

from __future__ import annotations

from typing import Any

import pytest

from foresail_operator.scaling.starts import PATIENCE_SECONDS, PHASES, Start, Starts, measure
from foresail_runtime.contract import Load

INSIDE = {"start": 0.5, "fetch": 0.125, "verify": 0.0, "load": 0.25, "warm": 0.125}


class Stage:
    """A pod that goes its way, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.starts = Starts(lambda: self.now)

    def show(self, event: str | None, *conditions: str, **metadata: Any) -> None:
        holds = [{"type": kind, "status": "True"} for kind in conditions]
        self.starts.see(event, {"metadata": {"uid": "u"} | metadata, "status": {"conditions": holds}})

    def begin(self) -> None:
        """Let it be created, bound and ready, 0.25 s and 3 s later."""
        self.show("ADDED")
        self.now += 0.25
        self.show("MODIFIED", "PodScheduled")
        self.now += 2.75
        self.show("MODIFIED", "PodScheduled", "Ready")


def told(age: float | None = 2.0) -> Load:
    return Load("ready", 0, 0, 0, 0.0, age_seconds=age, phases=INSIDE if age else {})


def test_a_start_is_told_once_with_all_its_parts_and_they_add_up() -> None:
    stage = Stage()
    stage.begin()
    assert stage.starts.ready() == ["u"]
    assert stage.starts.tell("u", None, 0.0) is None, "it has not been asked yet"
    start = stage.starts.tell("u", told(), heard_at=stage.now + 0.5)
    assert start == Start(3.0, {"schedule": 0.25, "pull": 1.25, **INSIDE, "ready": 0.5})
    assert tuple(start.phases) == PHASES
    assert sum(start.phases.values()) == start.seconds
    assert stage.starts.ready() == []
    assert stage.starts.tell("u", told(), heard_at=stage.now) is None


def test_a_pod_that_was_there_before_is_left_out() -> None:
    stage = Stage()
    stage.show(None, "PodScheduled")
    stage.show("MODIFIED", "PodScheduled", "Ready")
    stage.show("ADDED", "PodScheduled", "Ready")
    assert stage.starts.ready() == []


@pytest.mark.parametrize("end", ["deleted", "ending"])
def test_a_pod_that_goes_before_it_has_told_is_forgotten(end: str) -> None:
    stage = Stage()
    stage.begin()
    stage.show("DELETED") if end == "deleted" else stage.show("MODIFIED", "Ready", deletionTimestamp="2026-01-02")
    assert stage.starts.ready() == []


def test_a_runtime_of_the_release_before_tells_nothing_and_is_waited_for_no_longer_than_a_while() -> None:
    stage = Stage()
    stage.begin()
    assert stage.starts.tell("u", told(age=None), heard_at=stage.now) is None
    stage.now += PATIENCE_SECONDS + 1
    assert stage.starts.ready() == []


def test_a_process_that_began_before_the_watch_showed_it_has_no_negative_part() -> None:
    start = measure(created=10.0, bound=10.5, ready=11.0, began=10.25, inside=INSIDE)
    assert (start.phases["schedule"], start.phases["pull"], start.phases["ready"]) == (0.25, 0.0, 0.0)
    assert start.seconds == 1.0
