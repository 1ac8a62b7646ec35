"""Whole REST bodies: an infer request to tensors, an answer to bytes, as JSON, binary, or any mix of the two.

A body is a JSON object, or (binary tensor extension) a JSON header of a length that an HTTP header gives,
followed by the tensors whose JSON says `binary_data_size`, in that order, with nothing between or after them;
or, with a header length of 0, the bytes of the model's only input and nothing else.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from foresail_runtime import errors, tensors
from foresail_runtime.codec import check, heads, parsing, raw, values
from foresail_runtime.tensors import InferRequest, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime.tensors import InferResponse, Signature, TensorSpec

_DUMP: Final = orjson.OPT_SERIALIZE_NUMPY
_MICROSECONDS: Final = 1e-6
MAX_KNOWN: Final = 1024
"""Shapes remembered a model; strange ones are looked at anew each time."""


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
    elif header_length == 0:
        return _decode_headless(signature, body), BINARY_ONLY
    else:
        if not 0 < header_length <= len(body):
            raise errors.InvalidRequest(
                f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes"
            )
        return _decode_binary(signature, body, header_length)
    may_hold_booleans = b"true" in body or b"false" in body
    given, _ = _decode_inputs(signature, document.get("inputs"), None, may_hold_booleans)
    return _finish(signature, document, given)


def encode(response: InferResponse, form: Form = JSON_ONLY) -> Body:
    """Return the body of an answer.

    Raises:
        InvalidRequest: An output can't be carried by JSON and was not asked for as binary.
    """
    plain = form is JSON_ONLY
    pieces = [_head(response.model_name, response.model_version)]
    if response.id is not None:
        pieces += (b',"id":', orjson.dumps(response.id))
    binary: list[bytes | memoryview] = []
    separator = b',"outputs":['
    for tensor in response.outputs:
        pieces += (separator, _tensor_head(tensor.name, tensor.datatype.name, tensor.array.shape))
        if plain or not form.is_binary(tensor.name):
            pieces += (b',"data":', orjson.dumps(values.encode(tensor), option=_DUMP), b"}")
        else:
            part = raw.encode(tensor)
            pieces.append(b',"parameters":{"binary_data_size":%d}}' % len(part))
            binary.append(part)
        separator = b","
    pieces.append(b"]}" if response.outputs else b',"outputs":[]}')
    document = b"".join(pieces)
    # orjson writes NaN and infinity as null: looked for only where a null is, which costs next to nothing.
    if b"null" in document:
        _check_finite(response, form)
    return Body(document, None) if not binary else Body(b"".join((document, *binary)), len(document))


@functools.lru_cache(maxsize=256)
def _head(model_name: str, model_version: str) -> bytes:
    return orjson.dumps({"model_name": model_name, "model_version": model_version})[:-1]


@functools.lru_cache(maxsize=4096)
def _tensor_head(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    return orjson.dumps({"name": name, "datatype": datatype, "shape": shape})[:-1]


def _parse(text: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = parsing.hint(error, "send the tensor as binary data")
        if "not valid UTF-8" in str(error):
            hint = "; where it is a tensor's bytes, send Inference-Header-Content-Length"
        raise errors.InvalidRequest(f"the body is not JSON: {error}{hint}") from error
    if type(document) is not dict:
        raise errors.InvalidRequest("the body is not a JSON object with a list of inputs")
    return document


def _decode_binary(signature: Signature, body: bytes, header_length: int) -> tuple[InferRequest, Form]:
    head = bytes(body[:header_length])  # a body that came in pieces is a bytearray, which has no hash
    found = heads.find(signature, head, body)
    if found is not None:
        return found
    binary = memoryview(body)[header_length:]
    document = _parse(head)
    given, sizes = _decode_inputs(signature, document.get("inputs"), binary, may_hold_booleans=True)
    if (left := len(binary) - sum(sizes.values())) > 0:
        raise errors.InvalidRequest(f"{left} bytes are left in the body after the last binary tensor")
    request, form = _finish(signature, document, given)
    heads.remember(signature, head, sizes, request, form)
    return request, form


def _decode_inputs(
    signature: Signature, entries: object, binary: memoryview | None, may_hold_booleans: bool
) -> tuple[tuple[Tensor, ...], dict[str, int]]:
    """Return the tensors in the signature's order, and the bytes of each that is binary, as they lie."""
    if type(entries) is not list or not entries:
        raise errors.InvalidRequest("inputs is missing or empty: send a list of tensors")
    if len(entries) == 1 == len(signature.inputs):
        tensor, size = _decode_input(signature, entries[0], binary, 0, may_hold_booleans)
        return (tensor,), {} if size is None else {tensor.name: size}
    given: dict[str, Tensor] = {}
    sizes: dict[str, int] = {}
    used = 0
    for entry in entries:
        tensor, size = _decode_input(signature, entry, binary, used, may_hold_booleans)
        if tensor.name in given:
            raise errors.InvalidRequest(f"input {tensor.name!r} is in the request twice")
        given[tensor.name] = tensor
        if size is not None:
            sizes[tensor.name] = size
            used += size
    return check.order_inputs(signature, given), sizes


def _decode_input(
    signature: Signature, entry: Any, binary: memoryview | None, offset: int, may_hold_booleans: bool
) -> tuple[Tensor, int | None]:
    if type(entry) is not dict:
        raise errors.InvalidRequest("an entry of inputs is not an object with name, shape, datatype and data")
    spec, shape, count = _describe(signature, entry)
    name, datatype = spec.name, spec.datatype
    parameters = entry.get("parameters")
    size = None if parameters is None else _binary_size(name, parameters)
    if size is None:
        if "data" not in entry:
            raise errors.InvalidRequest(f"input {name!r} has no data")
        array = values.decode(name, datatype, shape, count, entry["data"], may_hold_booleans=may_hold_booleans)
        return Tensor(name, datatype, array), None
    if "data" in entry and (size or entry["data"] != []):  # of no elements kserve's client sends both
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


def _describe(signature: Signature, entry: dict[str, Any]) -> tuple[TensorSpec, tuple[int, ...], int]:
    """Return what the model says of this input, the shape it has here, and its number of elements.

    Requests of one client are alike, so that what fitted once is looked up: by the text of the shape, since
    [1] and [true] and [1.0] are equal to Python.
    """
    key = (entry.get("name"), entry.get("datatype"), repr(entry.get("shape")))
    known: dict[Any, tuple[TensorSpec, tuple[int, ...], int]] = signature.known_inputs
    try:
        return known[key]
    except (KeyError, TypeError):  # TypeError: a name that is a list, for one
        spec = check.find_input(signature, entry.get("name"))
        shape: Any = entry.get("shape")
        count = check.count_elements(spec.name, shape)
        check.check_input(spec, check.find_datatype(spec.name, entry.get("datatype")), shape)
        if len(known) < MAX_KNOWN:
            known[key] = (spec, tuple(shape), count)
        return spec, tuple(shape), count


def _binary_size(name: str, parameters: Any) -> int | None:
    _check_parameters(f"input {name!r}", parameters)
    if "shared_memory_region" in parameters:
        raise errors.InvalidRequest(f"input {name!r}: shared memory is not offered, send the data in the body")
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
            if "shared_memory_region" in parameters:
                raise errors.InvalidRequest(f"{where}: shared memory is not offered, the answer comes in the body")
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
    microseconds = parameters.get("timeout", 0)
    if type(microseconds) is not int or microseconds < 0:
        raise errors.InvalidRequest(f"parameter timeout is {microseconds!r}, not a whole number of microseconds")
    return microseconds * _MICROSECONDS if microseconds else None  # 0: the server's own limit, as in Triton


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
