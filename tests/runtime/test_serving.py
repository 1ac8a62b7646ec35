"""The one door to the models: who is known, and what the process carries."""

from __future__ import annotations

import concurrent.futures
import contextlib
import types
from typing import TYPE_CHECKING

import pytest

from foresail_runtime import contract, errors, health, lobby, metrics, serving
from foresail_runtime.health import State
from foresail_runtime.model import Model
from foresail_runtime.tensors import ModelInfo, Signature
from tests.runtime.timing import Clock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock(50.0)


@pytest.fixture
def door(clock: Clock) -> serving.Serving:
    return serving.Serving(health.Health(), metrics.Metrics(), concurrent.futures.ThreadPoolExecutor(1), clock)


def make_model(door: serving.Serving, engine: object = None) -> Model:
    info = ModelInfo("m", ("1",), Signature((), ()))
    counts = door.metrics.model("m", "1")
    return Model(info, None, counts, 1.0, engine=engine)  # type: ignore[arg-type]  # only its counts are looked at


async def test_only_a_model_that_is_on_its_way_again_is_waited_for(door: serving.Serving, tmp_path: Path) -> None:
    door.expect("m")
    assert not door.missed("m")
    (tmp_path / lobby.MARK).touch()
    door.lobby = lobby.Lobby(door.health, tmp_path)
    assert door.missed("m")
    assert not door.missed("strange")
    door.expect("m", "it is broken")
    assert not door.missed("m")
    door.add(make_model(door))
    assert not door.missed("m")


def test_the_load_is_the_integral_of_what_was_in_flight(door: serving.Serving, clock: Clock) -> None:
    model = make_model(door)
    clock.now += 10
    door.begin(model)
    clock.now += 2
    door.begin(model)
    clock.now += 3
    door.end(model)
    door.end(model)
    clock.now += 10
    assert door.load().load_seconds == pytest.approx(2 + 2 * 3)
    door.begin(model)
    clock.now += 1
    assert door.load().load_seconds == pytest.approx(9)
    assert door.load().in_flight == 1


@pytest.mark.parametrize(
    ("state", "expected"),
    [(State.FETCHING, "starting"), (State.READY, "ready"), (State.DRAINING, "draining"), (State.STOPPED, "draining")],
)
def test_the_operator_knows_three_states(door: serving.Serving, state: State, expected: str) -> None:
    door.health.move(state)
    assert door.load().state == expected


def test_a_model_on_its_way_is_not_ready_and_a_strange_one_not_found(door: serving.Serving) -> None:
    door.expect("m")
    assert not door.model_ready("m")
    with pytest.raises(errors.NotReady, match="model 'm' is not ready"):
        door.model("m")
    with pytest.raises(errors.NotFound, match="there is no model 'x'; this server has 'm'"):
        door.model_ready("x")


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, 200), (errors.QueueFull("full"), 429), (ConnectionResetError(), 499), (ZeroDivisionError(), 500)],
    ids=repr,
)
def test_a_request_is_counted_by_how_it_ended(
    door: serving.Serving, clock: Clock, error: Exception | None, status: int
) -> None:
    model = make_model(door)
    made = model.metrics

    def run() -> None:
        with door.counted(model, "infer"):
            clock.now += 0.5
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    assert dict(made.outcomes) == {("infer", status): 1}
    assert made.total.total == pytest.approx(0.5)
    assert door.in_flight == 0


def make_served(door: serving.Serving) -> Model:
    model = make_model(door)
    model.batcher = types.SimpleNamespace(close=lambda _: None, queued=0)  # type: ignore[assignment]  # nobody waits
    door.add(model)
    return model


def answer(door: serving.Serving, model: Model, error: errors.ForesailError | None = None) -> None:
    """Have a model answer a request, or refuse it, as those who call the door do."""
    with contextlib.suppress(errors.ForesailError), door.counted(model, "infer"):
        if error is not None:
            raise error
    if error is not None:
        door.metrics.rejected[error.reason] += 1


def test_those_for_whom_there_was_no_room_are_told_and_are_no_quick_answers(
    door: serving.Serving, clock: Clock
) -> None:
    model = make_served(door)
    answer(door, model)
    for error in (
        errors.QueueFull("full"),
        errors.InvalidRequest("?"),
        errors.NotReady("no"),
        errors.QueueFull("full"),
    ):
        answer(door, model, error)
    load = door.load(latency=True)
    assert (load.requests, load.refused, sum(load.latency)) == (5, 2, 3)
    door.metrics.rejected[errors.QueueFull.reason] += 1  # no room for its body: it did not get as far as its model
    load = door.load(latency=True)
    assert (load.requests, load.refused, sum(load.latency)) == (6, 3, 3)
    assert contract.Load.decode(load.encode()) == load


async def test_a_version_that_leaves_takes_no_refusal_out_of_the_count(door: serving.Serving) -> None:
    model = make_served(door)
    answer(door, model)
    answer(door, model, errors.QueueFull("full"))
    before = door.load(latency=True)
    await door.retire(model, 0.0)
    make_served(door)
    after = door.load(latency=True)
    assert (after.requests, after.refused, after.latency) == (before.requests, before.refused, before.latency)
    assert (after.requests, after.refused, sum(after.latency)) == (2, 1, 1)


def test_a_model_that_has_not_run_yet_has_no_usual_time(door: serving.Serving) -> None:
    engine = object()
    served = make_model(door, engine)
    door.add(served)
    assert door.usual_seconds(engine) is None
    served.best_seconds = 0.125
    assert door.usual_seconds(engine) == 0.125, "its warm-up's"
    served.metrics.ran(1, 1, 0.25)
    assert door.usual_seconds(engine) == 0.25
    assert served.metrics.last_request_seconds > 1.7e9, "the time, not a clock's reading"


def test_a_server_whose_device_failed_is_not_live(door: serving.Serving) -> None:
    engine = types.SimpleNamespace(broken="")
    door.add(make_model(door, engine))
    assert door.live()
    engine.broken = "CUDA failure 700"
    assert not door.live()


def test_the_phases_of_the_start_are_told_for_a_minute(clock: Clock) -> None:
    told = health.Health(clock, began=48.0)
    door = serving.Serving(told, metrics.Metrics(), concurrent.futures.ThreadPoolExecutor(1), clock)
    assert (door.load().age_seconds, door.load().phases) == (None, {})
    for state, passed in ((State.FETCHING, 0.25), (State.LOADING, 0.5), (State.WARMING, 1.0), (State.READY, 0.0)):
        told.move(state)
        clock.now += passed
    load = contract.Load.decode(door.load().encode())
    assert load.phases == {"start": 2.0, "fetch": 0.25, "verify": 0.0, "load": 0.5, "warm": 1.0}
    assert load.age_seconds == 3.75
    clock.now += contract.START_TOLD_SECONDS
    assert (door.load().age_seconds, door.load().phases) == (None, {})
