"""Numbers as JSON: each datatype takes what it can hold, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foresail_runtime import errors
from foresail_runtime.codec import values
from foresail_runtime.tensors import DATATYPES, Tensor

TAKEN: list[tuple[str, list[Any]]] = [
    ("BOOL", [True, False]),
    ("UINT8", [0, 255]),
    ("UINT16", [0, 65535]),
    ("UINT32", [0, 2**32 - 1]),
    ("UINT64", [0, 2**64 - 1]),
    ("INT8", [-128, 127]),
    ("INT16", [-(2**15), 2**15 - 1]),
    ("INT32", [-(2**31), 2**31 - 1]),
    ("INT64", [-(2**63), 2**63 - 1]),
    ("FP16", [0.5, 65504.0]),
    ("FP32", [0.5, 3.4028234663852886e38, 7]),
    ("FP64", [0.1, 1e308]),
    ("BF16", [0.5, 1.0]),
    ("BYTES", ["", "ü€"]),
]


@pytest.mark.parametrize(("name", "data"), TAKEN, ids=[name for name, _ in TAKEN])
def test_a_datatype_takes_what_it_holds_and_gives_it_back(name: str, data: list[Any]) -> None:
    datatype = DATATYPES[name]
    array = values.decode("x", datatype, (len(data),), len(data), data)
    assert array.dtype == datatype.dtype
    given = values.encode(Tensor("x", datatype, array))
    assert list(given) == data


REFUSED: list[tuple[str, Any]] = [
    ("BOOL", 1),
    ("BOOL", "true"),
    ("BOOL", None),
    ("UINT8", 256),
    ("UINT8", -1),
    ("UINT64", 2**64),
    ("UINT64", 1e30),
    ("INT8", -129),
    ("INT8", 1.0),
    ("INT8", True),
    ("INT32", 1.5),
    ("INT32", "1"),
    ("INT64", 2**63),
    ("INT64", None),
    ("INT64", [1]),
    ("FP16", 65520.0),
    ("FP16", True),
    ("FP32", 1e39),
    ("FP32", "1.0"),
    ("FP32", {}),
    ("FP64", True),
    ("FP64", 10**400),
    ("BF16", "a"),
    ("BYTES", 1),
    ("BYTES", None),
    ("BYTES", ["a"]),
]


@pytest.mark.parametrize(("name", "bad"), REFUSED, ids=[f"{name} {str(bad)[:12]}" for name, bad in REFUSED])
def test_a_datatype_refuses_what_it_can_not_hold(name: str, bad: Any) -> None:
    good = {"BOOL": True, "BYTES": "a"}.get(name, 1)
    with pytest.raises(errors.InvalidRequest, match="'x'"):
        values.decode("x", DATATYPES[name], (2,), 2, [good, bad])


def test_bf16_rounds_to_the_nearest_and_ties_to_even() -> None:
    bits = values.decode("x", DATATYPES["BF16"], (3,), 3, [1.0, 1.00390625, 1.01171875])
    assert bits.tolist() == [0x3F80, 0x3F80, 0x3F82]


def test_bf16_is_rounded_once() -> None:
    """Each lies so near to the middle between two that FP32 is that middle; by FP32 they would go to the even one."""
    bits = values.decode(
        "x", DATATYPES["BF16"], (4,), 4, [1.00390625000001, 1.01171874999999, 257.0000001, -257.0000001]
    )
    assert bits.tolist() == [0x3F81, 0x3F81, 0x4381, 0xC381]
    random = np.random.default_rng(0).normal(size=1000)
    found = values.decode("x", DATATYPES["BF16"], (1000,), 1000, random.tolist()).astype(np.uint32) << 16
    back = found.view(np.float32).astype(np.float64)
    assert (np.abs(back - random) <= np.abs(random) * 2.0**-8).all()


def test_a_scalar_is_a_list_of_one() -> None:
    array = values.decode("x", DATATYPES["INT64"], (), 1, [3])
    assert array.shape == ()
    assert array == 3


@pytest.mark.parametrize(("shape", "data"), [((0, 2), []), ((2, 0), [[], []]), ((2, 0), []), ((0,), [])], ids=str)
def test_tensors_without_elements_are_tensors(shape: tuple[int, ...], data: list[Any]) -> None:
    assert values.decode("x", DATATYPES["FP32"], shape, 0, data).shape == shape


def test_a_view_of_a_larger_output_is_encoded_row_major() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert list(values.encode(Tensor("y", DATATYPES["FP32"], array))) == [0, 3, 1, 4, 2, 5]
