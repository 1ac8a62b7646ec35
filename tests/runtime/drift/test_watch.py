"""What is sampled, what it costs, and that counts add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from foresail_runtime import tensors
from foresail_runtime.drift import collect, compare, export, features, watch, window
from tests.runtime.timing import Clock

if TYPE_CHECKING:
    from foresail_runtime.drift.reference import Reference

SIGNATURE = tensors.Signature(
    (tensors.TensorSpec("x", tensors.FP32, (-1, 3)), tensors.TensorSpec("t", tensors.BYTES, (-1,))),
    (tensors.TensorSpec("y", tensors.FP32, (-1, 1)),),
)
VIEWS = features.views(SIGNATURE, ("y",))
Rows = tuple[dict[str, Any], dict[str, Any]]


def rows(count: int, seed: int, shift: float = 0.0) -> Rows:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3)).astype(np.float32)
    x[:, 0] += shift
    t = np.array([b"a", b"b"], object)[random.integers(0, 2, count)]
    return {"x": x, "t": t}, {"y": x.sum(axis=1, keepdims=True)}


def learned() -> Reference:
    collector = collect.Collector(VIEWS)
    collector.add(*rows(20_000, seed=0))
    return collector.reference("m", 10)


REFERENCE = learned()


def fed(given: Rows, clock: Clock | None = None, size: int = 1, **options: Any) -> watch.Watch:
    made = watch.Watch(REFERENCE, VIEWS, clock or Clock(), **options)
    feed(made, given, size)
    return made


def feed(made: watch.Watch, given: Rows, size: int = 1) -> None:
    inputs, outputs = given
    for start in range(0, len(inputs["x"]), size):
        part = slice(start, start + size)
        made.see({name: array[part] for name, array in inputs.items()}, ["y"], [outputs["y"][part]])


@pytest.mark.parametrize("size", [1, 4, 16])
def test_every_row_is_counted_while_it_costs_little(size: int) -> None:
    snapshot = fed(rows(1600, seed=1), size=size).snapshot()
    assert snapshot.rows == 1600
    assert [sum(counts) for counts in snapshot.total] == [1600] * 5
    assert snapshot.recent == snapshot.total


def test_of_a_large_run_rows_from_everywhere_are_taken() -> None:
    made = fed(({"x": np.repeat(np.arange(1000.0)[:, None], 3, 1), "t": np.full(1000, b"a")},
                {"y": np.zeros((1000, 1))}), size=1000)  # fmt: skip
    assert made.snapshot().rows == 16


def test_the_counts_are_those_of_the_reference_for_the_same_rows() -> None:
    snapshot = fed(rows(20_000, seed=0), size=16).snapshot()
    assert list(snapshot.total) == [feature.counts for feature in REFERENCE.features]


@hypothesis_settings(max_examples=12)
@given(st.floats(0.8, 4.0), st.sampled_from([-1, 1]))
def test_a_shift_is_found_in_the_feature_that_shifted_and_in_no_other(size: float, sign: int) -> None:
    found = export.document("m", "1", fed(rows(4000, seed=2, shift=sign * size), size=16))
    verdicts = {feature["name"]: feature["verdict"] for feature in found["features"]}
    assert verdicts["x.0"] == "major"
    assert {verdicts["x.1"], verdicts["x.2"], verdicts["t"]} == {"stable"}
    assert found["features"][0]["name"] == "x.0"
    assert found["features"][0]["p_value"] < 1e-9


@hypothesis_settings(max_examples=12)
@given(st.integers(1, 10_000))
def test_rows_like_the_reference_s_are_stable(seed: int) -> None:
    found = export.document("m", "1", fed(rows(4000, seed=seed), size=16))
    assert {feature["verdict"] for feature in found["features"]} == {"stable"}


def test_a_new_text_and_a_missing_number_are_drift() -> None:
    inputs, outputs = rows(4000, seed=3)
    inputs["t"][:] = b"never seen"
    inputs["x"][:, 1] = np.nan
    found = export.document("m", "1", fed((inputs, outputs), size=16))
    by_name = {feature["name"]: feature for feature in found["features"]}
    assert by_name["t"]["verdict"] == by_name["x.1"]["verdict"] == "major"
    assert by_name["t"]["bins"][-1] == {"bin": "other", "reference": 0, "rows": 4000}
    assert by_name["x.1"]["bins"][-1] == {"bin": "missing", "reference": 0, "rows": 4000}


@hypothesis_settings(max_examples=10)
@given(st.lists(st.integers(0, 300), min_size=2, max_size=5))
def test_counts_of_replicas_add_up_to_those_of_one(parts: list[int]) -> None:
    replicas = [fed(rows(count, seed=index), size=4) for index, count in enumerate(parts)]
    alone = watch.Watch(REFERENCE, VIEWS, Clock())
    for index, count in enumerate(parts):
        feed(alone, rows(count, seed=index), size=4)
    added = sum(np.array([count for row in one.snapshot().total for count in row]) for one in replicas)
    assert np.array_equal(added, [count for row in alone.snapshot().total for count in row])


def test_what_is_older_than_the_window_passes_out_and_the_total_stays() -> None:
    clock = Clock()
    made = fed(rows(100, seed=1), clock, window_seconds=120.0)
    assert made.snapshot().rows == 100
    clock.now = 65.0
    feed(made, rows(50, seed=2))
    assert [sum(counts) for counts in made.snapshot().recent] == [150] * 5
    clock.now = 125.0
    assert [sum(counts) for counts in made.snapshot().recent] == [50] * 5
    clock.now = 10_000.0
    assert [sum(counts) for counts in made.snapshot().recent] == [0] * 5
    assert [sum(counts) for counts in made.snapshot().total] == [150] * 5


def test_a_window_slides_by_a_twelfth() -> None:
    made = window.Window([2], 120.0, 0.0)
    for second in range(0, 240, 10):
        made.add([0], np.array([[1, 0]]), float(second))
        assert made.recent(float(second)).sum() == min(12, second // 10 + 1)


class Costly(Clock):
    """Time passes by looking at it: a sample looks a few times, so it costs a known time."""

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def test_samples_become_fewer_where_they_cost_too_much_and_more_again_when_there_is_time() -> None:
    clock = Costly()
    made = watch.Watch(REFERENCE, VIEWS, clock, cost=0.01)
    row = ({"x": np.zeros((1, 3), np.float32), "t": np.array([b"a"], object)}, {"y": np.zeros((1, 1), np.float32)})
    for _ in range(40_000):
        clock.now += 0.0005  # a run
        feed(made, row)
    busy = made.snapshot()
    assert busy.stride > 50
    assert busy.seconds / clock.now < 0.015
    for _ in range(2 * busy.stride):
        clock.now += 1.0
        feed(made, row)
    assert made.snapshot().stride == 1


def test_a_mistake_of_ours_ends_the_watching_and_not_the_request(caplog: pytest.LogCaptureFixture) -> None:
    made = watch.Watch(REFERENCE, VIEWS, Clock())
    for _ in range(3):
        made.see({"x": np.zeros((1, 3), np.float32)}, ["y"], [np.zeros((1, 1), np.float32)])
    assert [record.message for record in caplog.records] == ["drift is no longer watched"]


LENGTHS = tensors.Signature(
    (tensors.TensorSpec("tokens", tensors.FP32, (-1, -1)),), (tensors.TensorSpec("found", tensors.FP32, (-1, -1, 4)),)
)


def test_rows_of_different_lengths_and_runs_without_rows_are_counted_side_by_side() -> None:
    views = features.views(LENGTHS, ("found",))
    collector = collect.Collector(views)
    runs = [
        (np.full((2, size), float(size)), np.full((count, size, 4), 0.5)) for size, count in ((3, 2), (5, 0), (3, 1))
    ]
    for tokens, found in runs[::2]:
        collector.add({"tokens": tokens}, {"found": found})
    made = watch.Watch(collector.reference("m", 10), views, Clock())
    for tokens, found in runs:
        made.see({"tokens": tokens}, ["found"], [found])
    snapshot = made.snapshot()
    assert snapshot.rows == 6
    assert [sum(counts) for counts in snapshot.total] == [6, 6, 6, 3, 3]
    made.see({"tokens": runs[0][0]}, ["found"], [runs[0][1]])
    assert made.snapshot().rows == 8


def test_the_rows_that_are_told_of_are_those_that_came_in_however_many_finds_an_output_has() -> None:
    detector = tensors.Signature(
        (tensors.TensorSpec("images", tensors.FP32, (-1, 3, 4, 4)),),
        (tensors.TensorSpec("output", tensors.FP32, (-1, 7)),),
    )
    views = features.views(detector, ("output",))
    run = {"images": np.zeros((2, 3, 4, 4), np.float32)}, {"output": np.ones((9, 7), np.float32)}
    collector = collect.Collector(views)
    collector.add(*run)
    made = watch.Watch(collector.reference("m", 10), views, Clock())
    made.see(run[0], ["output"], list(run[1].values()))
    assert made.snapshot().rows == 2
    assert {sum(counts) for counts in made.snapshot().total} == {2, 9}


def test_a_mistake_of_ours_that_shows_when_counts_are_read_is_said_once_and_the_counts_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = fed(rows(300, seed=1))
    inputs, outputs = rows(1, seed=2)
    made.see({**inputs, "t": np.array(["no bytes"], object)}, ["y"], [outputs["y"]])
    first = made.snapshot()
    feed(made, rows(1, seed=3))
    assert made.snapshot() == first
    assert sum(first.total[0]) >= watch.ROWS_TOGETHER
    assert [record.message for record in caplog.records] == ["drift is no longer watched"]


def test_only_the_outputs_that_were_asked_for_are_counted() -> None:
    made = watch.Watch(REFERENCE, VIEWS, Clock())
    made.see(rows(1, seed=1)[0], [], [])
    assert [sum(counts) for counts in made.snapshot().total] == [1, 1, 1, 1, 0]


def test_the_index_in_the_document_is_that_of_its_bins() -> None:
    found = export.document("m", "1", fed(rows(500, seed=4, shift=1.0), size=16))
    for feature in found["features"]:
        reference = [part["reference"] for part in feature["bins"]]
        recent = [part["rows"] for part in feature["bins"]]
        assert feature["psi"] == pytest.approx(compare.psi(reference, recent), abs=1e-6)
