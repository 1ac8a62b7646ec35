"""Calls that are wrong, odd or contradictory: each ends with the status of the table, in words of bounded length."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    Table = Mapping[str, tuple[bytes, str]]

SERVICE = "inference.GRPCInferenceService"
ROW = [number / 8 for number in range(32)]
DATA = struct.pack("<32f", *ROW)
INVALID, OK, NOT_FOUND = "INVALID_ARGUMENT", "OK", "NOT_FOUND"
REFUSALS = {INVALID, NOT_FOUND, "UNIMPLEMENTED", "PERMISSION_DENIED"}


def message(
    floats: Sequence[float] = ROW,
    *,
    raw: Sequence[bytes] = (),
    shape: Sequence[int] = (1, 32),
    name: str = "input",
    datatype: str = "FP32",
    **more: Any,
) -> oip_pb2.ModelInferRequest:
    made = oip_pb2.ModelInferRequest(**{"model_name": "m", **more})
    entry = made.inputs.add(name=name, datatype=datatype, shape=shape)
    entry.contents.fp32_contents.extend(() if raw else floats)
    made.raw_input_contents.extend(raw)
    return made


def with_parameter(name: str, **value: Any) -> oip_pb2.ModelInferRequest:
    made = message()
    made.parameters[name].CopyFrom(oip_pb2.InferParameter(**value))
    return made


def with_outputs(*names: str, **parameters: oip_pb2.InferParameter) -> oip_pb2.ModelInferRequest:
    made = message()
    for name in names:
        entry = made.outputs.add(name=name)
        for key, value in parameters.items():
            entry.parameters[key].CopyFrom(value)
    return made


def changed(change: Callable[[oip_pb2.ModelInferRequest], Any]) -> oip_pb2.ModelInferRequest:
    made = message()
    change(made)
    return made


YES = oip_pb2.InferParameter(bool_param=True)
GOOD: dict[str, oip_pb2.ModelInferRequest] = {
    "typed": message(),
    "raw": message(raw=[DATA]),
    "no rows, raw": message(raw=[b""], shape=[0, 32]),
    "no rows, typed": message([], shape=[0, 32]),
    "no numbers": message([float("nan"), float("inf"), *ROW[2:]]),
    "a version": message(model_version="1"),
    "a long id": message(id="x" * 10_000),
    "a long deadline": with_parameter("timeout", uint64_param=2**64 - 1),
    "a high number for a low priority": with_parameter("priority", uint64_param=2**64 - 1),
    "a parameter without a value": with_parameter("other"),
    "an output by name": with_outputs("output", binary_data=YES),
}
BAD: dict[str, oip_pb2.ModelInferRequest] = {
    "no inputs": oip_pb2.ModelInferRequest(model_name="m"),
    "no contents": message([]),
    "raw and typed": changed(lambda made: made.raw_input_contents.append(DATA)),
    "two raw for one input": message(raw=[DATA, DATA]),
    "raw and empty": message(raw=[b""]),
    "a byte too few": message(raw=[DATA[:-1]]),
    "a byte too many": message(raw=[DATA + b"x"]),
    "a number too few": message(ROW[1:]),
    "another field": changed(lambda made: made.inputs[0].contents.int_contents.append(1)),
    "the input twice": changed(lambda made: made.inputs.add().CopyFrom(made.inputs[0])),
    "shared memory": changed(lambda made: made.inputs[0].parameters["shared_memory_region"].CopyFrom(YES)),
    "a name that is none": message(name="nope"),
    "a long name": message(name="x" * 100_000),
    **{f"the datatype {text!r}": message(datatype=text) for text in ("", "fp32", "FP64", "INT32", "BYTES")},
    **{
        f"the shape {str(shape)[:30]}": message(shape=shape)
        for shape in ((), (32,), (-1, 32), (-(2**63), 32), (2**62, 2**62), (0, 2**62), (1, 32, 1), (1,) * 1000)
    },
    "an output that is none": with_outputs("nope"),
    "an output twice": with_outputs("output", "output"),
    "a classification": with_outputs("output", classification=oip_pb2.InferParameter(int64_param=3)),
    "an output to shared memory": with_outputs("output", shared_memory_region=YES),
    "a negative deadline": with_parameter("timeout", int64_param=-1),
    "a deadline of text": with_parameter("timeout", string_param="5"),
    "a negative priority": with_parameter("priority", int64_param=-1),
    "a priority without a value": with_parameter("priority"),
}
MISSING: dict[str, oip_pb2.ModelInferRequest] = {
    f"the model {name[:9]!r} in version {version!r}": message(model_name=name, model_version=version)
    for name, version in (("x", ""), ("", ""), ("é\n\0", ""), ("x" * 100_000, ""), ("m", "01"), ("m", "2"), ("m", "-"))
}
BYTES: Table = {
    "nothing": (b"", NOT_FOUND),
    "rubbish": (b"\xff\xff\xff", INVALID),
    "a name that is no UTF-8": (b"\x0a\x01\xff", INVALID),
    "cut short": (message().SerializeToString()[:-3], INVALID),
    "groups in groups": (b"\x0b" * 500, INVALID),
    "fields nobody knows": (message().SerializeToString() + b"\xfa\x3f\x01x", OK),
    "over the limit": (message(raw=[DATA * 10_000], shape=[10_000, 32]).SerializeToString(), "RESOURCE_EXHAUSTED"),
}


@pytest.fixture
async def channel(serve: Callable[..., Any], mlp: pathlib.Path) -> AsyncIterator[grpc.aio.Channel]:
    server = await serve(mlp, grpc_port=0, max_body_bytes=500_000, access_log=True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.app.grpc_port}") as opened:
        yield opened


async def status(channel: grpc.aio.Channel, method: str, data: bytes) -> str:
    """Return the name of the status that a call ends with; its words are short, and none is a mistake of ours."""
    call = channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=10)
    code, words = await call.code(), await call.details()
    assert len(words or "") < 1500, method
    return str(code.name)


async def test_whatever_is_to_be_inferred_ends_as_the_table_says(channel: grpc.aio.Channel) -> None:
    table: dict[str, tuple[bytes, str]] = dict(BYTES)
    for messages, expected in ((GOOD, OK), (BAD, INVALID), (MISSING, NOT_FOUND)):
        table |= {story: (made.SerializeToString(), expected) for story, made in messages.items()}
    found = {story: await status(channel, "ModelInfer", data) for story, (data, _) in table.items()}
    assert found == {story: expected for story, (_, expected) in table.items()}
    assert await status(channel, "ModelInfer", message().SerializeToString()) == OK


async def test_no_call_of_the_service_fails_because_of_what_it_is_sent(channel: grpc.aio.Channel) -> None:
    for method in oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        if method.client_streaming:
            continue
        for data in (b"", b"\x0a\x01m", b"\x0a\x00\x12\x01m", b"\x12\x04nope"):
            assert await status(channel, method.name, data) in {OK, *REFUSALS}, method.name
        for data in (b"\xff\xff\xff", b"\x0a\x01\xff"):
            assert await status(channel, method.name, data) in {OK, *REFUSALS}, method.name


async def test_a_stream_answers_what_is_good_between_what_is_not(channel: grpc.aio.Channel) -> None:
    good = message().SerializeToString()
    call = channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer", response_deserializer=oip_pb2.ModelStreamInferResponse.FromString
    )
    pieces = [good, b"\xff", BAD["no inputs"].SerializeToString(), b"", good]
    answers = [bool(answer.error_message) async for answer in call(iter(pieces), timeout=10)]
    assert answers == [False, True, True, True, False]
