"""Whole REST bodies: an infer request to tensors, an answer to bytes, as JSON, binary, or any mix of the two.

A body is a JSON object, or (binary tensor extension) a JSON header of a length that an HTTP header gives,
followed by the tensors whose JSON says `binary_data_size`, in that order, with nothing between or after them;
or, with a header length of 0, the bytes of the model's only input and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from foresail_runtime import errors, tensors
from foresail_runtime.codec import check, raw, values
from foresail_runtime.tensors import InferRequest, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime.tensors import InferResponse, Signature, TensorSpec

_DUMP: Final = orjson.OPT_SERIALIZE_NUMPY
_MICROSECONDS: Final = 1e-6


class Form(NamedTuple):
    """Which outputs of the answer are binary: the flag of one output wins over the request's."""

    binary_by_default: bool = False
    binary: Mapping[str, bool] = {}

    def is_binary(self, name: str) -> bool:
        """Tell whether that output is wanted as bytes."""
        return self.binary.get(name, self.binary_by_default)


class Body(NamedTuple):
    """An encoded answer; `header_length` is None when all of it is JSON."""

    data: bytes
    header_length: int | None


JSON_ONLY: Final = Form()
BINARY_ONLY: Final = Form(binary_by_default=True)


def decode(signature: Signature, body: bytes, header_length: int | None) -> tuple[InferRequest, Form]:
    """Return the request a body holds, checked against the signature, and the form its answer is wanted in.

    Raises:
        InvalidRequest: The body contradicts itself, the protocol or the signature.
    """
    if header_length is None:
        document = _parse(body)
        binary: memoryview | None = None
    elif header_length == 0:
        return _decode_headless(signature, body), BINARY_ONLY
    else:
        if not 0 < header_length <= len(body):
            raise errors.InvalidRequest(
                f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes"
            )
        binary = memoryview(body)[header_length:]
        document = _parse(body[:header_length])
    may_hold_booleans = b"true" in body or b"false" in body if binary is None else True
    given, used = _decode_inputs(signature, document.get("inputs"), binary, may_hold_booleans)
    if binary is not None and used != len(binary):
        raise errors.InvalidRequest(f"{len(binary) - used} bytes are left in the body after the last binary tensor")
    return _finish(signature, document, given)


def encode(response: InferResponse, form: Form = JSON_ONLY) -> Body:
    """Return the body of an answer.

    Raises:
        InvalidRequest: An output can't be carried by JSON and was not asked for as binary.
    """
    outputs: list[dict[str, Any]] = []
    parts: list[bytes | memoryview] = [b""]
    plain = form is JSON_ONLY
    for tensor in response.outputs:
        entry: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype.name,
            "shape": tensor.array.shape,
        }
        if plain or not form.is_binary(tensor.name):
            entry["data"] = values.encode(tensor)
        else:
            part = raw.encode(tensor)
            entry["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        outputs.append(entry)
    document: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id is not None:
        document["id"] = response.id
    document["outputs"] = outputs
    parts[0] = head = orjson.dumps(document, option=_DUMP)
    # orjson writes NaN and infinity as null: looked for only where a null is, which costs next to nothing.
    if b"null" in head:
        _check_finite(response, form)
    return Body(head, None) if len(parts) == 1 else Body(b"".join(parts), len(head))


def _parse(text: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise errors.InvalidRequest(f"the body is not JSON: {error}") from error
    if type(document) is not dict:
        raise errors.InvalidRequest("the body is not a JSON object with a list of inputs")
    return document


def _decode_inputs(
    signature: Signature, entries: object, binary: memoryview | None, may_hold_booleans: bool
) -> tuple[tuple[Tensor, ...], int]:
    if type(entries) is not list or not entries:
        raise errors.InvalidRequest("inputs is missing or empty: send a list of tensors")
    given: dict[str, Tensor] = {}
    used = 0
    for entry in entries:
        if type(entry) is not dict:
            raise errors.InvalidRequest("an entry of inputs is not an object with name, shape, datatype and data")
        spec = check.find_input(signature, entry.get("name"))
        if spec.name in given:
            raise errors.InvalidRequest(f"input {spec.name!r} is in the request twice")
        given[spec.name], size = _decode_input(spec, entry, binary, used, may_hold_booleans)
        used += size
    return check.order_inputs(signature, given), used


def _decode_input(
    spec: TensorSpec, entry: dict[str, Any], binary: memoryview | None, offset: int, may_hold_booleans: bool
) -> tuple[Tensor, int]:
    name: str = spec.name
    shape: Any = entry.get("shape")
    datatype = check.find_datatype(name, entry.get("datatype"))
    count = check.count_elements(name, shape)
    check.check_input(spec, datatype, shape)
    parameters = entry.get("parameters")
    size = None if parameters is None else _binary_size(name, parameters)
    if size is None:
        if "data" not in entry:
            raise errors.InvalidRequest(f"input {name!r} has no data")
        array = values.decode(name, datatype, shape, count, entry["data"], may_hold_booleans=may_hold_booleans)
        return Tensor(name, datatype, array), 0
    if "data" in entry:
        raise errors.InvalidRequest(f"input {name!r} has both data and binary_data_size")
    if binary is None:
        raise errors.InvalidRequest(
            f"input {name!r} says binary_data_size, the request has no Inference-Header-Content-Length"
        )
    if size > len(binary) - offset:
        raise errors.InvalidRequest(
            f"input {name!r}: binary_data_size is {size}, {len(binary) - offset} bytes are left in the body"
        )
    return Tensor(name, datatype, raw.decode(name, datatype, shape, binary[offset : offset + size])), size


def _binary_size(name: str, parameters: Any) -> int | None:
    _check_parameters(f"input {name!r}", parameters)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise errors.InvalidRequest(f"input {name!r}: binary_data_size is {size!r}, not a whole number from 0 up")
    return size


def _check_parameters(where: str, parameters: object) -> None:
    if type(parameters) is not dict:
        raise errors.InvalidRequest(f"{where}: parameters is not an object")
    for key, value in parameters.items():
        if type(value) not in (str, int, float, bool):
            raise errors.InvalidRequest(f"{where}: parameter {key!r} is neither string, number nor boolean")


def _finish(signature: Signature, document: dict[str, Any], given: tuple[Tensor, ...]) -> tuple[InferRequest, Form]:
    identity = document.get("id")
    if identity is not None and type(identity) is not str:
        raise errors.InvalidRequest(f"id is {identity!r}, not a string")
    wanted, parameters = document.get("outputs"), document.get("parameters")
    if wanted is None and parameters is None:
        return InferRequest(given, (), identity), JSON_ONLY
    parameters = {} if parameters is None else parameters
    _check_parameters("the request", parameters)
    names, binary = _decode_wanted([] if wanted is None else wanted)
    form = Form(_boolean("the request", parameters, "binary_data_output", default=False), binary)
    return (
        InferRequest(
            given, check.select_outputs(signature, names), identity, _timeout(parameters), _priority(parameters)
        ),
        form if form != JSON_ONLY else JSON_ONLY,
    )


def _decode_wanted(wanted: object) -> tuple[list[object], dict[str, bool]]:
    if type(wanted) is not list:
        raise errors.InvalidRequest("outputs is not a list of objects with a name")
    names: list[object] = []
    binary: dict[str, bool] = {}
    for entry in wanted:
        if type(entry) is not dict or type(entry.get("name")) is not str:
            raise errors.InvalidRequest("an entry of outputs is not an object with a name")
        names.append(entry["name"])
        parameters = entry.get("parameters")
        if parameters is not None:
            where = f"output {entry['name']!r}"
            _check_parameters(where, parameters)
            if "classification" in parameters:
                raise errors.InvalidRequest(f"{where}: the classification extension is not offered, ask for the tensor")
            if "binary_data" in parameters:
                binary[entry["name"]] = _boolean(where, parameters, "binary_data", default=False)
    return names, binary


def _boolean(where: str, parameters: dict[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if type(value) is not bool:
        raise errors.InvalidRequest(f"{where}: {key} is {value!r}, not true or false")
    return value


def _timeout(parameters: dict[str, Any]) -> float | None:
    microseconds = parameters.get("timeout")
    if microseconds is None or microseconds == 0:  # 0: the server's own limit, as in Triton
        return None
    if type(microseconds) is not int or microseconds < 0:
        raise errors.InvalidRequest(f"parameter timeout is {microseconds!r}, not a whole number of microseconds")
    return microseconds * _MICROSECONDS


def _priority(parameters: dict[str, Any]) -> int:
    priority = parameters.get("priority", 0)
    if type(priority) is not int or priority < 0:
        raise errors.InvalidRequest(f"parameter priority is {priority!r}, not a whole number from 0 up")
    return priority


def _decode_headless(signature: Signature, body: bytes) -> InferRequest:
    if len(signature.inputs) != 1:
        raise errors.InvalidRequest(
            f"a raw body is one tensor, the model takes {len(signature.inputs)}: send a JSON header before them"
        )
    (spec,) = signature.inputs
    shape = check.shape_of_raw(spec, len(body))
    if spec.datatype is tensors.BYTES:
        array = raw.whole_string(body, shape)
    else:
        array = raw.decode(spec.name, spec.datatype, shape, body)
    return InferRequest((Tensor(spec.name, spec.datatype, array),))


def _check_finite(response: InferResponse, form: Form) -> None:
    for tensor in response.outputs:
        if not form.is_binary(tensor.name):
            values.check_finite(tensor)
