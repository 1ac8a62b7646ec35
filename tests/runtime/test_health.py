"""The states of a server, and what a probe is told in each."""

from __future__ import annotations

import pytest

from foresail_runtime import health
from foresail_runtime.health import State


@pytest.mark.parametrize("state", list(health.REASONS))
def test_only_ready_is_ready(state: State) -> None:
    made = health.Health()
    made.move(state, "words")
    assert made.ready is (state is State.READY)
    document = made.status.document()
    assert (document["ready"], document["state"]) == (state is State.READY, state.value)
    assert document["reason"]


def test_progress_is_told_while_fetching_only() -> None:
    made = health.Health()
    made.progress(1, 2)
    assert "received_bytes" not in made.status.document()
    made.move(State.FETCHING, "fetching")
    made.progress(5, None)
    assert {"received_bytes": 5, "total_bytes": None}.items() <= made.status.document().items()
    made.move(State.LOADING)
    assert "received_bytes" not in made.status.document()


def test_a_failure_has_its_reason_and_its_words() -> None:
    made = health.Health()
    made.fail("DigestMismatch", "other bytes")
    document = made.status.document()
    assert (document["state"], document["reason"], document["message"]) == ("failed", "DigestMismatch", "other bytes")


def test_a_server_on_its_way_out_never_gets_ready() -> None:
    made = health.Health()
    made.move(State.DRAINING)
    made.move(State.READY)
    made.fail("ModelInvalid", "too late to matter")
    assert made.status.state is State.DRAINING
    made.move(State.STOPPED)
    assert made.stopping


def test_how_long_each_phase_of_a_start_took_is_kept_and_what_follows_does_not_count() -> None:
    times = iter([12.0, 15.0, 15.5, 20.0])
    made = health.Health(lambda: next(times), began=10.0)
    for state in (State.FETCHING, State.LOADING, State.WARMING, State.READY):
        made.move(state)
    assert made.phases == {State.STARTING: 2.0, State.FETCHING: 3.0, State.LOADING: 0.5, State.WARMING: 4.5}
    assert made.ready_at == 20.0
    made.move(State.DRAINING)
    assert sum(made.phases.values()) == 10.0
