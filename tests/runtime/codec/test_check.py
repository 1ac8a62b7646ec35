"""What gRPC uses of the checks: whole lists of tensors against a signature."""

from __future__ import annotations

import time

import numpy as np
import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.codec import check
from foresail_runtime.tensors import Signature, Tensor, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("a", tensors.FP32, (-1, 2)), TensorSpec("b", tensors.BOOL, (1,))),
    (TensorSpec("y", tensors.FP32, (-1,)),),
)
A = Tensor("a", tensors.FP32, np.zeros((3, 2), np.float32))
B = Tensor("b", tensors.BOOL, np.zeros(1, bool))


def test_tensors_are_put_into_the_models_order() -> None:
    assert check.arrange_inputs(SIGNATURE, [B, A]) == (A, B)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([A], "lacks input 'b'"),
        ([A, A, B], "'a' is in the request twice"),
        ([A, B, Tensor("c", tensors.BOOL, B.array)], "'c' is not an input"),
        ([A, Tensor("b", tensors.FP32, A.array)], "'b': datatype is FP32"),
        ([A, Tensor("b", tensors.BOOL, np.zeros(2, bool))], r"'b': shape is \[2\]"),
    ],
    ids=["missing", "twice", "unknown", "datatype", "shape"],
)
def test_a_list_that_does_not_fit_is_refused(given: list[Tensor], words: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=words):
        check.arrange_inputs(SIGNATURE, given)


@pytest.mark.parametrize(
    ("shape", "count"),
    [([], 1), ([3, 2], 6), ([2**31], 2**31), ([2**31, 2**31, 0], 0), ([0, 2**31, 2**31, 2], 0)],
)
def test_elements_are_counted(shape: list[int], count: int) -> None:
    assert check.count_elements("a", shape) == count


@pytest.mark.parametrize("shape", [[2**31 + 1], [2**16, 2**16], [2**40, 0], [0, 2**40]])
def test_too_many_elements_are_refused(shape: list[int]) -> None:
    with pytest.raises(errors.InvalidRequest, match="has more than 2147483648 elements"):
        check.count_elements("a", shape)


def test_a_shape_of_many_dimensions_is_refused_in_no_time() -> None:
    """Multiplied to the end it has two and a half million bits, which took seconds of the loop's time."""
    shape = [2**63 - 1] * 40_000
    begun = time.thread_time()
    with pytest.raises(errors.InvalidRequest, match="has more than 2147483648 elements"):
        check.count_elements("a", shape)
    assert time.thread_time() - begun < 0.5


def test_a_raw_body_needs_a_shape_that_can_be_told() -> None:
    spec = TensorSpec("a", tensors.FP32, (-1, -1, -1))
    with pytest.raises(errors.InvalidRequest, match="can't say which sizes it has"):
        check.shape_of_raw(spec, 12)


def test_a_raw_body_of_text_has_to_be_one_element() -> None:
    with pytest.raises(errors.InvalidRequest, match="a raw body is one element"):
        check.shape_of_raw(TensorSpec("a", tensors.BYTES, (2,)), 12)
