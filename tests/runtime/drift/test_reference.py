"""Bins that fit the data, whatever it is like."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresail_runtime import errors, tensors
from foresail_runtime.drift import collect, features, reference

numbers = st.lists(st.floats(width=32) | st.integers(-3, 3).map(float), min_size=1, max_size=200)


def test_numbers_get_bins_of_equal_shares() -> None:
    feature = reference.of_numbers("input", "x", np.arange(1000.0), 10)
    assert feature.counts == (*[100] * 10, 0)
    assert feature.edges == tuple(float(100 * i - 1) for i in range(1, 10))
    assert feature.bins == (*[repr(edge) for edge in feature.edges], "+Inf", "missing")


def test_a_few_values_get_a_bin_each_and_empty_ones_below_and_above() -> None:
    feature = reference.of_numbers("input", "x", np.array([0.0, 1.0, 1.0, np.nan]), 10)
    assert feature.counts == (0, 1, 2, 0, 1)
    assert reference.count_numbers(np.array([-5.0, 0.5, 9.0]), np.array(feature.edges)).tolist() == [1, 0, 1, 1, 0]


@pytest.mark.parametrize("count", [3, 50], ids=["a bin a value", "quantiles"])
def test_the_last_digits_of_a_number_do_not_move_it_to_another_bin(count: int) -> None:
    """A model's answer to the same row differs in them with the number of rows that it runs with."""
    values = np.random.default_rng(0).random(count).astype(np.float32).astype(np.float64).repeat(20)
    feature = reference.of_numbers("output", "p", values)
    for factor in (1 - 3e-7, 1 + 3e-7):
        assert reference.count_numbers(values * factor, np.array(feature.edges)).tolist() == list(feature.counts)


@given(numbers, st.integers(1, 20))
def test_every_value_is_in_one_bin_and_no_two_edges_are_equal(values: list[float], bins: int) -> None:
    feature = reference.of_numbers("input", "x", np.array(values), bins)
    assert sum(feature.counts) == len(values)
    assert feature.counts[-1] == sum(map(math.isnan, values))
    assert list(feature.edges) == sorted(set(feature.edges))
    assert len(feature.counts) == len(feature.bins) <= bins + 3


@given(numbers)
def test_a_reference_is_read_as_it_was_written(values: list[float]) -> None:
    made = reference.Reference(
        "sha256:0",
        len(values),
        (
            reference.of_numbers("input", "x", np.array(values)),
            reference.of_texts("output", "y", [str(value) for value in values]),
        ),
    )
    assert reference.Reference.decode(made.encode()) == made


def test_texts_get_a_bin_for_each_of_the_frequent_and_one_for_the_others() -> None:
    values = [f"t{number}" for number in range(60) for _ in range(60 - number)]
    feature = reference.of_texts("input", "x", values)
    assert feature.bins[:2] == ("t0", "t1")
    assert feature.bins[-1] == "other"
    assert feature.counts[-1] == sum(range(1, 11))


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format="x"),
        lambda document: document.pop("features"),
        lambda document: document["features"][0].update(counts=[1]),
        lambda document: document["features"][0]["edges"].reverse(),
        lambda document: document["features"][0]["counts"].__setitem__(0, -1),
        lambda document: document["features"][0]["edges"].__setitem__(0, "x"),
    ],
)
def test_what_is_no_reference_is_told_with_how_to_make_one(change: Any) -> None:
    document = json.loads(reference.Reference("m", 9, (reference.of_numbers("input", "x", np.arange(9.0)),)).encode())
    change(document)
    with pytest.raises(errors.ModelUnusable, match="make it with foresail reference") as caught:
        reference.Reference.decode(json.dumps(document))
    assert caught.value.reason == "DriftReferenceInvalid"


def signature(*inputs: tuple[str, tensors.Datatype, tuple[int, ...]]) -> tensors.Signature:
    specs = tuple(tensors.TensorSpec(*one) for one in inputs)
    return tensors.Signature(specs, (tensors.TensorSpec("y", tensors.FP32, (-1, 2)),))


@pytest.mark.parametrize(
    ("spec", "columns", "names"),
    [
        (("x", tensors.FP32, (-1,)), (), ["x"]),
        (("x", tensors.DATATYPES["INT64"], (-1, 1)), (), ["x"]),
        (("x", tensors.FP32, (-1, 3)), (), ["x.0", "x.1", "x.2"]),
        (("x", tensors.FP32, (-1, 3)), ("a", "b", "c"), ["a", "b", "c"]),
        (("x", tensors.FP32, (-1, 1000)), (), ["x mean", "x largest", "x place of largest"]),
        (("x", tensors.DATATYPES["UINT8"], (-1, 3, 8, 8)), (), ["x mean", "x largest"]),
        (("x", tensors.BYTES, (-1, 1)), (), ["x"]),
        (("x", tensors.BYTES, (-1, 4)), (), []),
    ],
)
def test_what_is_looked_at_of_a_tensor(spec: Any, columns: Any, names: list[str]) -> None:
    found = features.views(signature(spec), ("y",), columns)
    assert [name for view in found for name in view.names] == [*names, "y.0", "y.1"]


def test_summaries_and_brain_floats_are_numbers_too() -> None:
    (view, _) = features.views(signature(("x", tensors.FP32, (-1, 100))), ("y",))
    array = np.zeros((2, 100), np.float32)
    array[1, 7] = 50.0
    assert view.numbers(array).tolist() == [[0.0, 0.0, 0.0], [0.5, 50.0, 7.0]]
    (view, _) = features.views(signature(("x", tensors.BF16, (-1, 2))), ("y",))
    assert view.numbers(np.array([[0x3F80, 0xC000]], np.uint16)).tolist() == [[1.0, -2.0]]


def test_a_collector_makes_a_reference_of_what_it_saw() -> None:
    views = features.views(signature(("x", tensors.BYTES, (-1,))), ("y",))
    collector = collect.Collector(views)
    for _ in range(5):
        collector.add({"x": np.array([b"a", b"b"], object)}, {"y": np.array([[1, 2], [3, np.nan]], np.float32)})
    made = collector.reference("sha256:1", 10)
    assert made.rows == 10
    assert [(one.side, one.name, one.counts) for one in made.features] == [
        ("input", "x", (5, 5, 0)),
        ("output", "y.0", (0, 5, 5, 0, 0)),
        ("output", "y.1", (0, 5, 0, 5)),
    ]
