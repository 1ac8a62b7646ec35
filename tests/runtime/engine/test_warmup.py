"""What the first runs find out: whether requests may share a run, and whether that pays."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.engine import independence, session, warmup
from foresail_runtime.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Mapping, Sequence

ROWS = Signature((TensorSpec("x", tensors.FP32, (-1, 2)),), (TensorSpec("y", tensors.FP32, (-1, 2)),))


class Fake:
    """An engine of a few lines, whose runs take as long on the clock as they are told to."""

    def __init__(self, signature: Signature, run: Callable[[Any], Any], seconds: Callable[[int], float]) -> None:
        self.signature = signature
        self.output_names = tuple(spec.name for spec in signature.outputs)
        self.providers = ("CPUExecutionProvider",)
        self.now = 0.0
        self._run = run
        self._seconds = seconds

    def clock(self) -> float:
        return self.now

    def run(self, inputs: Mapping[str, Any], _outputs: Sequence[str]) -> list[Any]:
        (array,) = inputs.values()
        self.now += self._seconds(len(array))
        return [self._run(array)]


def warm(run: Callable[[Any], Any], seconds: Callable[[int], float], signature: Signature = ROWS) -> warmup.Profile:
    fake: Any = Fake(signature, run, seconds)
    return warmup.warm(fake, fake.clock)


def test_a_model_whose_rows_cost_less_together_is_batched() -> None:
    profile = warm(lambda x: x * 2, lambda _: 0.001)
    assert (profile.batchable, profile.max_rows, profile.note) == (True, warmup.DEFAULT_MAX_ROWS, "")
    assert profile.run_seconds == pytest.approx(0.001)


ONE_LABEL = Signature(ROWS.inputs, (TensorSpec("y", tensors.FP32, (1,)),))


def test_an_output_that_declares_one_row_is_looked_at() -> None:
    profile = warm(lambda x: x[:, 0], lambda _: 0.001, ONE_LABEL)
    assert (profile.batchable, profile.note) == (True, "")


def test_an_output_that_has_one_row_is_no_batch_and_nothing_to_tell_of() -> None:
    profile = warm(lambda x: x[:1, 0], lambda _: 0.001, ONE_LABEL)
    assert (profile.batchable, profile.max_rows, profile.note) == (False, 1, "")


@pytest.mark.parametrize(("row_seconds", "expected"), [(1e-9, 4096), (1e-5, 500), (0.01, 64)])
def test_a_large_request_is_cut_into_pieces_that_are_soon_over(row_seconds: float, expected: int) -> None:
    assert warm(lambda x: x, lambda rows: row_seconds * rows).split_rows == pytest.approx(expected, abs=1)


def test_a_model_whose_rows_cost_as_much_together_runs_one_request_at_a_time() -> None:
    profile = warm(lambda x: x * 2, lambda rows: 0.01 * rows)
    assert (profile.batchable, profile.max_rows) == (True, 1)


def test_a_very_slow_model_is_not_tried_in_batches() -> None:
    profile = warm(lambda x: x * 2, lambda rows: 2.0 * rows)
    assert (profile.batchable, profile.max_rows) == (True, 1)


MIXING: dict[str, Callable[[Any], Any]] = {
    "a scale over all rows": lambda x: x / max(x.max(), 1e-6),
    "a running sum along the first dimension": lambda x: np.cumsum(x, axis=0),
    "another number of rows": lambda x: x[:1],
    "a scale over all rows, 1 at least": lambda x: x / max(x.max(), 1.0),
    "the same of what is negative": lambda x: x / max(-x.min(), 1.0),
    "outliers among all rows": lambda x: (abs(x - x.mean(axis=0)) > 4).astype(np.float32),
    "rows that are over a threshold": lambda x: x[x[:, 0] > 0],
    "rows in order": lambda x: np.sort(x, axis=0),
    "rows in order, the largest first": lambda x: -np.sort(-x, axis=0),
}


WHOLE = Signature((TensorSpec("x", tensors.DATATYPES["INT64"], (-1, 2)),), ROWS.outputs)
MIXING_BY_WHOLE_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "a scale over all rows, 1 at least": lambda x: x / max(x.max(), 1),
    "the same, 9 at least": lambda x: x / max(x.max(), 9),
    "as long as the longest": lambda x: np.zeros((len(x), max(x.max(), 1)), np.float32),
}


@pytest.mark.parametrize("run", MIXING_BY_WHOLE_NUMBERS.values(), ids=MIXING_BY_WHOLE_NUMBERS.keys())
def test_a_model_whose_rows_change_each_other_by_larger_whole_numbers_is_never_batched(
    run: Callable[[Any], Any],
) -> None:
    assert not warm(run, lambda _: 0.001, WHOLE).batchable


def test_whole_numbers_beyond_a_table_tell_nothing() -> None:
    def looked_up(x: Any) -> Any:
        if x.max() > 1:
            raise errors.InvalidRequest("index out of range")
        return x * 2

    assert warm(looked_up, lambda _: 0.001, WHOLE).batchable


def test_no_device_that_checks_no_index_is_shown_large_ones() -> None:
    largest: list[int] = []

    def look(x: Any) -> Any:
        largest.append(x.max())
        return x

    fake: Any = Fake(WHOLE, look, lambda _: 0.001)
    fake.providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert warmup.warm(fake, fake.clock).batchable
    assert max(largest) == 1


PAIR = Signature(
    tuple(TensorSpec(name, tensors.DATATYPES["INT64"], (-1, 3)) for name in ("ids", "kinds")), ROWS.outputs
)


def test_each_input_of_few_has_larger_whole_numbers_by_itself() -> None:
    row = warmup.example(PAIR, 1, seed=0)
    ids, kinds, every = independence.larger(PAIR, row)
    assert (ids["ids"].min() > 1, kinds["kinds"].min() > 1, every["ids"].min() > 9) == (True, True, True)
    np.testing.assert_array_equal(ids["kinds"], row["kinds"])
    columns = Signature(tuple(TensorSpec(str(n), tensors.DATATYPES["INT8"], (-1,)) for n in range(9)), ROWS.outputs)
    assert len(independence.larger(columns, warmup.example(columns, 1, seed=0))) == 1


@pytest.mark.parametrize("run", MIXING.values(), ids=MIXING.keys())
def test_a_model_whose_rows_change_each_other_is_never_batched(run: Callable[[Any], Any]) -> None:
    profile = warm(run, lambda _: 0.001)
    assert not profile.batchable
    assert "runs alone" in profile.note


TEXT = Signature((TensorSpec("x", tensors.BYTES, (-1,)),), (TensorSpec("y", tensors.FP32, (-1,)),))


def test_a_model_that_counts_how_often_a_row_is_there_is_never_batched() -> None:
    profile = warm(lambda x: np.array([list(x).count(text) for text in x], np.float32), lambda _: 0.001, TEXT)
    assert not profile.batchable


def test_a_slow_model_is_not_held_up_by_rows_far_apart() -> None:
    largest: list[float] = []

    def look(x: Any) -> Any:
        largest.append(abs(x).max())
        return x

    assert warm(look, lambda rows: 0.03 * rows).batchable
    assert max(largest) <= 1


def test_numbers_that_the_model_refuses_alone_tell_nothing() -> None:
    def near(x: Any) -> Any:
        if abs(x).max() > 1:
            raise errors.InvalidRequest("out of range")
        return x * 2

    assert warm(near, lambda _: 0.001).batchable


def test_a_model_that_refuses_two_rows_is_never_batched() -> None:
    def one_row_only(x: Any) -> Any:
        if len(x) > 1:
            raise errors.InvalidRequest("one row, please")
        return x

    assert not warm(one_row_only, lambda _: 0.001).batchable


def test_a_fixed_first_dimension_is_no_batch() -> None:
    fixed = Signature((TensorSpec("x", tensors.FP32, (1, 2)),), (TensorSpec("y", tensors.FP32, (1, 2)),))
    profile = warm(lambda x: x, lambda _: 0.001, fixed)
    assert (profile.batchable, profile.max_rows) == (False, 1)


def test_sizes_that_are_not_known_are_guessed_until_one_runs() -> None:
    def at_least_64(x: Any) -> Any:
        if x.shape[1] < 64:
            raise errors.InvalidRequest("too small")
        return x

    free = Signature((TensorSpec("x", tensors.FP32, (-1, -1)),), (TensorSpec("y", tensors.FP32, (-1, -1)),))
    assert warm(at_least_64, lambda _: 0.001, free).run_seconds is not None


def open_shape(*shape: int) -> Signature:
    return Signature((TensorSpec("x", tensors.FP32, shape),), (TensorSpec("y", tensors.FP32, (-1, 2)),))


def test_a_picture_whose_sides_are_all_open_is_guessed_in_colours() -> None:
    """Hugging Face's exports leave the channels open, too, and take three of them only."""

    def vision(x: Any) -> Any:
        if x.shape[1:] != (3, 224, 224):
            raise errors.InvalidRequest("no such picture")
        return x[:, :2, 0, 0]

    profile = warm(vision, lambda _: 0.001, open_shape(-1, -1, -1, -1))
    assert (profile.batchable, profile.note) == (True, "")


@pytest.mark.parametrize("shape", [(-1, -1, -1, -1), (-1, -1, -1, -1, -1), (-1, 512, -1, -1)])
def test_no_guess_takes_memory_worth_a_word(shape: tuple[int, ...]) -> None:
    """640 in each of four dimensions took three gigabytes before the model was served."""
    tried: list[int] = []

    def never(x: Any) -> Any:
        tried.append(x.size)
        raise errors.InvalidRequest("not this size")

    assert warm(never, lambda _: 0.001, open_shape(*shape)).run_seconds is None
    assert len(tried) > 1
    assert max(tried) <= warmup.MOST_GUESSED


def test_an_input_that_is_large_whatever_is_guessed_is_tried() -> None:
    profile = warm(lambda x: x[:, 0, :2], lambda _: 0.001, open_shape(-1, -1, warmup.MOST_GUESSED + 1))
    assert profile.run_seconds is not None


def test_a_model_that_takes_none_of_the_guesses_is_served_without_warm_up() -> None:
    def never(_: Any) -> Any:
        raise errors.InvalidRequest("not this size")

    free = Signature((TensorSpec("x", tensors.FP32, (-1, -1)),), ROWS.outputs)
    profile = warm(never, lambda _: 0.001, free)
    assert profile.run_seconds is None
    assert profile.note.endswith("(not this size): every request runs alone")


def test_a_model_that_fails_on_the_only_shape_it_has_is_unusable() -> None:
    def broken(_: Any) -> Any:
        raise errors.ModelFailed("division by zero")

    with pytest.raises(errors.ModelUnusable, match="division by zero") as caught:
        warm(broken, lambda _: 0.001)
    assert caught.value.reason == "WarmupFailed"


def refusing(words: str) -> Callable[[Any], Any]:
    def refuse(_: Any) -> Any:
        raise errors.InvalidRequest(words)

    return refuse


IDS = Signature((TensorSpec("x", tensors.DATATYPES["INT64"], (-1,)),), TEXT.outputs)


@pytest.mark.parametrize(
    ("signature", "words"),
    [(TEXT, "no such key"), (IDS, "index out of range"), (ROWS, "OneHotEncoder: Unknown Category and zeros = 0.")],
    ids=["text", "whole numbers", "categories"],
)
def test_values_that_no_guess_can_hit_keep_no_model_from_being_served(signature: Signature, words: str) -> None:
    """scikit-learn's OneHotEncoder refuses what it does not know, unless told otherwise."""
    profile = warm(refusing(words), lambda _: 0.001, signature)
    assert (profile.run_seconds, profile.batchable) == (None, False)
    assert profile.note.endswith(f"({words}): every request runs alone")


def test_a_model_of_floats_that_refuses_its_only_shape_is_unusable() -> None:
    with pytest.raises(errors.ModelUnusable, match="fails on its warm-up: a Reshape to 8 rows"):
        warm(refusing("a Reshape to 8 rows"), lambda _: 0.001)


def test_without_a_warm_up_no_requests_share_a_run() -> None:
    profile = warmup.unmeasured()
    assert (profile.batchable, profile.max_rows) == (False, 1)


@pytest.mark.parametrize(("name", "expected"), [("mlp.onnx", True), ("phishing_logreg.onnx", True)])
def test_real_models_of_rows_are_batched(name: str, expected: bool, mlp: pathlib.Path) -> None:
    engine = session.open_engine(mlp.with_name(name), session.Options())
    profile = warmup.warm(engine, time.perf_counter)
    assert (profile.batchable, profile.note) == (expected, "")


def test_examples_are_the_same_for_the_same_seed_and_differ_for_another() -> None:
    every = Signature(
        tuple(TensorSpec(name, datatype, (-1, 3)) for name, datatype in tensors.DATATYPES.items()), ROWS.outputs
    )
    first, again, other = (warmup.example(every, 1, seed) for seed in (1, 1, 2))
    for spec in every.inputs:
        np.testing.assert_array_equal(first[spec.name], again[spec.name])
        assert first[spec.name].dtype == spec.datatype.dtype
    assert any((first[name] != other[name]).any() for name in ("FP32", "INT64"))


def test_the_shortest_of_several_runs_counts() -> None:
    pauses = itertools.chain([0.5, 0.004, 0.001, 0.004], itertools.repeat(0.004))
    profile = warm(lambda x: x, lambda _: next(pauses))
    assert profile.run_seconds == pytest.approx(0.001)
