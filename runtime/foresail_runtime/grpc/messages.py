"""ModelInfer's messages to tensors and back, raw and typed.

A request is raw (`raw_input_contents`, one entry an input, in order) or typed (`contents` of each input), never both;
its answer comes in the same form. FP16 and BF16 have no typed form: an answer that holds one is raw.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from foresail_runtime import errors, tensors
from foresail_runtime.codec import check, raw, rest
from foresail_runtime.grpc import oip_pb2
from foresail_runtime.tensors import InferRequest, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.tensors import Datatype, InferResponse, Signature, TensorSpec

FIELDS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which field of `contents` holds a datatype."""
_SHARED_MEMORY: Final = "shared_memory_region"
_MICROSECONDS: Final = 1e-6
_RAW_TAG: Final = oip_pb2.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | 2
"""Field number and wire type (bytes) of the answer's raw contents."""


class Decoded(NamedTuple):
    """A request, and whether its answer is to be raw."""

    request: InferRequest
    is_raw: bool


def decode(signature: Signature, message: oip_pb2.ModelInferRequest) -> Decoded:
    """Return the request that a message holds, checked against the signature.

    Raises:
        InvalidRequest: The message contradicts itself, the protocol or the signature.
    """
    if not message.inputs:
        raise errors.InvalidRequest("the request has no inputs: send a tensor for each input of the model")
    contents = message.raw_input_contents
    is_raw = bool(contents)
    if is_raw and len(contents) != len(message.inputs):
        raise errors.InvalidRequest(
            f"raw_input_contents has {len(contents)} entries for {len(message.inputs)} inputs: send one for each"
        )
    inputs = _decode_inputs(signature, message, contents if is_raw else None)
    parameters = message.parameters
    timeout_seconds, priority = (_timeout(parameters), _priority(parameters)) if parameters else (None, 0)
    wanted = check.select_outputs(signature, _wanted(message)) if message.outputs else ()
    return Decoded(InferRequest(inputs, wanted, message.id or None, timeout_seconds, priority), is_raw)


def encode(response: InferResponse, *, is_raw: bool) -> oip_pb2.ModelInferResponse:
    """Return the message of an answer."""
    message = oip_pb2.ModelInferResponse(
        model_name=response.model_name, model_version=response.model_version, id=response.id or ""
    )
    is_raw = is_raw or any(tensor.datatype.name not in FIELDS for tensor in response.outputs)
    for tensor in response.outputs:
        entry = message.outputs.add(name=tensor.name, datatype=tensor.datatype.name, shape=tensor.array.shape)
        if is_raw:
            message.raw_output_contents.append(raw.copy(tensor))
        else:
            getattr(entry.contents, FIELDS[tensor.datatype.name]).extend(tensor.array.ravel().tolist())
    return message


def serialize(response: InferResponse, *, is_raw: bool) -> bytes:
    """Return the bytes of an answer's message.

    Of a raw one all but the contents and the id is the same each time: it is put together from what is remembered,
    since a message that protobuf builds and serializes takes as long as a small model's run.
    """
    if not is_raw:
        return encode(response, is_raw=False).SerializeToString()
    outputs = response.outputs
    about = tuple([(tensor.name, tensor.datatype.name, tensor.array.shape) for tensor in outputs])
    parts = [_head(response.model_name, response.model_version, about)]
    if response.id:
        parts.append(oip_pb2.ModelInferResponse(id=response.id).SerializeToString())
    for tensor in outputs:
        data = raw.copy(tensor)
        parts += (_length(len(data)), data)
    return b"".join(parts)


@functools.lru_cache(maxsize=4096)
def _head(model_name: str, model_version: str, about: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bytes:
    message = oip_pb2.ModelInferResponse(model_name=model_name, model_version=model_version)
    for name, datatype, shape in about:
        message.outputs.add(name=name, datatype=datatype, shape=shape)
    return message.SerializeToString()


@functools.lru_cache(maxsize=4096)
def _length(size: int) -> bytes:
    """Return what stands before so many bytes of `raw_output_contents`: its tag, and the size as a varint."""
    encoded = bytearray((_RAW_TAG,))
    while size > 0x7F:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)


def _decode_inputs(
    signature: Signature, message: oip_pb2.ModelInferRequest, contents: Sequence[bytes] | None
) -> tuple[Tensor, ...]:
    entries = message.inputs
    if len(entries) == 1 == len(signature.inputs):
        return (_decode_input(signature, entries[0], None if contents is None else contents[0]),)
    given: dict[str, Tensor] = {}
    for index, entry in enumerate(entries):
        tensor = _decode_input(signature, entry, None if contents is None else contents[index])
        if tensor.name in given:
            raise errors.InvalidRequest(f"input {tensor.name!r} is in the request twice")
        given[tensor.name] = tensor
    return check.order_inputs(signature, given)


def _describe(
    signature: Signature, entry: oip_pb2.ModelInferRequest.InferInputTensor
) -> tuple[TensorSpec, tuple[int, ...], int]:
    """Return what the model says of this input, its shape here and its number of elements; remembers what fitted."""
    shape = tuple(entry.shape)
    key = (entry.name, entry.datatype, shape)
    known: dict[Any, tuple[TensorSpec, tuple[int, ...], int]] = signature.known_inputs
    found = known.get(key)
    if found is None:
        spec = check.find_input(signature, entry.name)
        datatype = check.find_datatype(entry.name, entry.datatype)
        found = (spec, shape, check.count_elements(entry.name, shape))
        check.check_input(spec, datatype, shape)
        if len(known) < rest.MAX_KNOWN:
            known[key] = found
    return found


def _decode_input(
    signature: Signature, entry: oip_pb2.ModelInferRequest.InferInputTensor, body: bytes | None
) -> Tensor:
    spec, shape, count = _describe(signature, entry)
    datatype = spec.datatype
    if entry.parameters and _SHARED_MEMORY in entry.parameters:
        raise errors.InvalidRequest(f"input {entry.name!r}: shared memory is not offered, send the tensor's contents")
    if body is None:
        array = _typed(spec.name, datatype, entry.contents, count)
        return Tensor(spec.name, datatype, array.reshape(shape))
    if entry.HasField("contents") and entry.contents.ListFields():  # mlserver sends the field, and nothing in it
        raise errors.InvalidRequest(f"input {entry.name!r} has contents, and raw_input_contents is filled: send one")
    return Tensor(spec.name, datatype, raw.decode(spec.name, datatype, shape, body))


def _typed(name: str, datatype: Datatype, contents: oip_pb2.InferTensorContents, count: int) -> npt.NDArray[Any]:
    field = FIELDS.get(datatype.name)
    if field is None:
        raise errors.InvalidRequest(f"input {name!r}: {datatype.name} has no typed contents, send raw_input_contents")
    for other, _ in contents.ListFields():
        if other.name != field:
            raise errors.InvalidRequest(f"input {name!r}: {other.name} is filled, {datatype.name} takes {field}")
    values = getattr(contents, field)
    if len(values) != count:
        raise errors.InvalidRequest(f"input {name!r}: {field} has {len(values)} elements, the shape has {count}")
    if datatype is tensors.BYTES:
        elements = np.empty(count, object)
        elements[:] = list(values)
        return elements
    try:
        return np.array(list(values), dtype=datatype.dtype)
    except OverflowError as error:
        raise errors.InvalidRequest(
            f"input {name!r}: {field} holds a number that {datatype.name} can't: {error}"
        ) from error


def _wanted(message: oip_pb2.ModelInferRequest) -> list[object]:
    for entry in message.outputs:
        if "classification" in entry.parameters:
            raise errors.InvalidRequest(
                f"output {entry.name!r}: the classification extension is not offered, ask for the tensor"
            )
        if _SHARED_MEMORY in entry.parameters:
            raise errors.InvalidRequest(f"output {entry.name!r}: shared memory is not offered")
    return [entry.name for entry in message.outputs]


def _timeout(parameters: Mapping[str, oip_pb2.InferParameter]) -> float | None:
    microseconds = _whole(parameters, "timeout", "microseconds")
    return microseconds * _MICROSECONDS if microseconds else None  # 0: the server's own limit, as in Triton


def _priority(parameters: Mapping[str, oip_pb2.InferParameter]) -> int:
    return _whole(parameters, "priority", "steps, 1 the highest")


def _whole(parameters: Mapping[str, oip_pb2.InferParameter], name: str, unit: str) -> int:
    if name not in parameters:  # looking it up would add it
        return 0
    parameter = parameters[name]
    choice = parameter.WhichOneof("parameter_choice")
    value = getattr(parameter, choice) if choice in ("int64_param", "uint64_param") else -1
    if value < 0:
        raise errors.InvalidRequest(f"parameter {name} is not a whole number from 0 up ({unit})")
    return int(value)
