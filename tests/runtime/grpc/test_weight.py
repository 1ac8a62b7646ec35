"""What a message is said to take is what it was measured to take, or somewhat more; it never takes long to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foresail_runtime import errors
from foresail_runtime.grpc import oip_pb2, weight

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = 2**15
ANY = 2**60


def message(field: str, values: Sequence[object]) -> bytes:
    made = oip_pb2.ModelInferRequest(model_name="m", model_version="2", id="i")
    made.inputs.add(name="x", datatype="FP32", shape=[len(values), 1])
    getattr(made.inputs[0].contents, field).extend(values)
    return made.SerializeToString()


MEASURED = {
    "fp32": ("fp32_contents", [0.25], 11.0),
    "fp64": ("fp64_contents", [0.25], 6.0),
    "booleans": ("bool_contents", [True], 9.9),
    "small numbers": ("int_contents", [1], 15.9),
    "numbers": ("int_contents", [300], 24.0),
    "long numbers": ("int64_contents", [300], 31.0),
    "negative ones": ("int64_contents", [-1], 1.6),
    "unsigned": ("uint64_contents", [300], 31.0),
    "no strings": ("bytes_contents", [b""], 22.0),
    "short strings": ("bytes_contents", [b"ab"], 23.7),
    "strings": ("bytes_contents", [b"a" * 20], 5.2),
    "long strings": ("bytes_contents", [b"a" * 300], 2.0),
}
"""And the bytes that each byte on the wire took at most: protobuf 7.36 (upb), CPython 3.11, 8 MiB of them."""


@pytest.mark.parametrize(("field", "values", "times"), MEASURED.values(), ids=MEASURED)
def test_it_is_not_less_than_was_measured_nor_more_than_six_times_that(
    field: str, values: list[object], times: float
) -> None:
    data = message(field, values * COUNT)
    weighed = weight.weigh(data, ANY)
    assert weighed.is_whole
    assert times <= weighed.size / len(data) <= 6 * times


def test_who_is_asked_is_told_without_the_rest() -> None:
    head = oip_pb2.ModelInferRequest.FromString(weight.weigh(message("fp32_contents", [1.0]), ANY).head)
    assert head == oip_pb2.ModelInferRequest(model_name="m", model_version="2", id="i")


def test_raw_contents_weigh_what_they_are() -> None:
    made = oip_pb2.ModelInferRequest(model_name="m", raw_input_contents=[bytes(10**6)])
    made.inputs.add(name="x", datatype="FP32", shape=[250_000])
    made.inputs[0].contents.SetInParent()
    assert weight.weigh(made.SerializeToString(), ANY).size < 2_010_000


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\x32\x00", b"\x22\x00", b"\x3a\x00", b"\x7a\x00", b"\x48\x01"])
def test_more_fields_than_anyone_sends_are_refused(field: bytes) -> None:
    data = b"\x0a\x03two" + field * 2**17
    with pytest.raises(errors.TooLarge, match="more than 65536 fields"):
        weight.weigh(data, ANY)
    assert not weight.weigh(data, ANY, 1000).is_whole


def test_what_takes_more_than_there_is_is_refused_with_what_to_do() -> None:
    data = message("fp32_contents", [1.0] * COUNT)
    size = weight.weigh(data, ANY).size
    assert weight.weigh(data, size).size == size
    with pytest.raises(errors.TooLarge, match=r"FORESAIL_MAX_PARSED_BYTES.*send raw_input_contents"):
        weight.weigh(data, size - 1)
    strings = message("bytes_contents", [b"ab"] * COUNT)
    with pytest.raises(errors.TooLarge):
        weight.weigh(strings, weight.weigh(strings, ANY).size - 1)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x2a",
        b"\x2a\x05\x0a",
        b"\x2a\xff\xff\xff\xff\x7f",
        b"\x2a\x02\x2a\x05",
        b"\x80" * 2**20,
        b"\x08" + b"\xff" * 2**20,
        b"\x2e",
        b"\x09\x01",
        b"\x2a\x04\x2a\x02\x42\x01",
    ],
)
def test_what_is_no_message_is_left_to_the_parser(broken: bytes) -> None:
    assert weight.weigh(b"\x0a\x03two" + broken, ANY).head == b"\x0a\x03two"


def test_odd_fields_are_passed() -> None:
    odd = b"\x09" + bytes(8) + b"\x0d" + bytes(4) + b"\x28\x01" + b"\x2a\x02\x28\x01" + b"\x32\x02\x0a\x00"
    assert oip_pb2.ModelInferRequest.FromString(odd).IsInitialized()
    assert weight.weigh(odd, ANY).is_whole
    unpacked = b"\x2a\x08\x18\x01\x2a\x04\x18\x01\x42\x00"
    assert oip_pb2.ModelInferRequest.FromString(unpacked).inputs[0].contents.bytes_contents == [b""]
    assert weight.weigh(unpacked, ANY).is_whole


def test_what_is_in_a_group_is_not_taken_for_what_is_beside_it() -> None:
    grouped = b"\x0a\x01m\x7b\x0a\x01n\x7c"
    assert oip_pb2.ModelInferRequest.FromString(grouped).model_name == "m"
    with pytest.raises(errors.InvalidRequest, match="holds a group"):
        weight.weigh(grouped, ANY)
