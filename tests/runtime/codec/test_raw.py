"""Raw bytes: sizes are exact, lengths are never trusted."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.codec import raw
from foresail_runtime.tensors import DATATYPES, Tensor


def strings(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


@pytest.mark.parametrize("name", sorted(set(DATATYPES) - {"BYTES"}))
def test_a_fixed_size_tensor_takes_exactly_its_bytes(name: str) -> None:
    datatype = DATATYPES[name]
    data = bytes([0, 1] * (3 * datatype.size))[: 6 * datatype.size]
    array = raw.decode("x", datatype, (2, 3), data)
    assert array.shape == (2, 3)
    assert bytes(raw.encode(Tensor("x", datatype, array))) == data
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(errors.InvalidRequest, match="'x'"):
            raw.decode("x", datatype, (2, 3), wrong)


def test_strings_of_any_rank_come_back() -> None:
    data = strings(b"a", b"", "ü".encode(), b"\xff")
    array = raw.decode("x", tensors.BYTES, (2, 2), data)
    assert array.tolist() == [[b"a", b""], ["ü".encode(), b"\xff"]]
    assert raw.encode(Tensor("x", tensors.BYTES, array)) == data


STRINGS_REFUSED = {
    "a length past the end": (struct.pack("<I", 5) + b"abcd", 1, "says it has 5 bytes, 4 are left"),
    "a length of four gigabytes": (b"\xff\xff\xff\xff", 1, "says it has 4294967295"),
    "a length cut off": (strings(b"abcdefgh") + b"\x01\x00", 2, "end before element 1"),
    "bytes left over": (strings(b"a", b"b"), 1, "5 bytes are left"),
    "fewer bytes than elements": (b"", 2**30, "too few for 1073741824"),
}


@pytest.mark.parametrize("case", STRINGS_REFUSED.values(), ids=STRINGS_REFUSED.keys())
def test_lengths_that_do_not_add_up_are_refused(case: tuple[bytes, int, str]) -> None:
    data, count, words = case
    with pytest.raises(errors.InvalidRequest, match=words):
        raw.decode("x", tensors.BYTES, (count,), data)


def test_a_boolean_is_zero_or_one() -> None:
    with pytest.raises(errors.InvalidRequest, match="a byte of BOOL is 2"):
        raw.decode("x", tensors.BOOL, (2,), b"\x00\x02")


@pytest.mark.parametrize("columns", [3, raw.VIEWED_BYTES], ids=["copied", "viewed"])
def test_a_slice_and_a_transpose_are_written_as_they_are_seen(columns: int) -> None:
    array = np.arange(2 * columns, dtype=np.int32).reshape(2, columns)
    assert bytes(raw.encode(Tensor("y", DATATYPES["INT32"], array.T))) == array.T.tobytes()
    assert bytes(raw.encode(Tensor("y", DATATYPES["INT32"], array[1:]))) == array[1:].tobytes()


def test_big_endian_arrays_are_turned() -> None:
    for count in (2, raw.VIEWED_BYTES):
        array = np.arange(count, dtype=">i4")
        assert bytes(raw.encode(Tensor("y", DATATYPES["INT32"], array))) == struct.pack(f"<{count}i", *range(count))


def test_no_elements_are_no_bytes() -> None:
    assert raw.encode(Tensor("y", DATATYPES["FP32"], np.zeros((0, 2), np.float32))) == b""
