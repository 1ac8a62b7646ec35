"""Compares what a request brings and asks for with the model's signature; every message names the tensor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from foresail_runtime import errors, tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foresail_runtime.tensors import Datatype, Signature, Tensor, TensorSpec

MAX_ELEMENTS = 2**31
"""More elements than this in one tensor are refused whatever the body limit says: sizes stay far from overflow."""


def find_datatype(name: str, text: object) -> Datatype:
    """Return the datatype a request names for a tensor.

    Raises:
        InvalidRequest: It is missing or no datatype of the protocol.
    """
    datatype = tensors.DATATYPES.get(text) if isinstance(text, str) else None
    if datatype is None:
        known = ", ".join(tensors.DATATYPES)
        raise errors.InvalidRequest(f"tensor {name!r}: datatype {text!r} is none of {known}")
    return datatype


def count_elements(name: str, shape: object) -> int:
    """Return the number of elements of a shape that came with a request.

    Raises:
        InvalidRequest: It is no list of whole numbers, has a negative one, or asks for too many elements.
    """
    if type(shape) is not list and type(shape) is not tuple:
        raise errors.InvalidRequest(f"tensor {name!r}: shape {shape!r} is not a list of whole numbers")
    count = 1
    for dimension in shape:
        if type(dimension) is not int or dimension < 0:
            raise errors.InvalidRequest(f"tensor {name!r}: shape {shape!r} is not a list of whole numbers from 0 up")
        count = min(count * dimension, MAX_ELEMENTS + 1)  # never a number of millions of bits: a zero may still follow
    if count > MAX_ELEMENTS or max(shape, default=0) > MAX_ELEMENTS:
        raise errors.InvalidRequest(f"tensor {name!r}: shape {shape!r} has more than {MAX_ELEMENTS} elements")
    return count


def check_input(spec: TensorSpec, datatype: Datatype, shape: Sequence[int]) -> None:
    """Compare one input's datatype and shape with what the model takes.

    Raises:
        InvalidRequest: They differ; the message has both.
    """
    if datatype is not spec.datatype:
        raise errors.InvalidRequest(
            f"input {spec.name!r}: datatype is {datatype.name}, the model takes {spec.datatype.name}"
        )
    if not spec.fits(shape):
        raise errors.InvalidRequest(
            f"input {spec.name!r}: shape is {list(shape)}, the model takes {list(spec.shape)} (-1: any size)"
        )


def find_input(signature: Signature, name: object) -> TensorSpec:
    """Return what the model says about the input of that name.

    Raises:
        InvalidRequest: The model has no such input.
    """
    spec = signature.input(name) if isinstance(name, str) else None
    if spec is None:
        has = ", ".join(repr(spec.name) for spec in signature.inputs)
        raise errors.InvalidRequest(f"input {name!r} is not an input of the model, which has {has}")
    return spec


def arrange_inputs(signature: Signature, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return a request's tensors in the order of the signature, each checked.

    Raises:
        InvalidRequest: One is missing, unknown, there twice, or does not fit.
    """
    by_name: dict[str, Tensor] = {}
    for tensor in given:
        check_input(find_input(signature, tensor.name), tensor.datatype, tensor.array.shape)
        if tensor.name in by_name:
            raise errors.InvalidRequest(f"input {tensor.name!r} is in the request twice")
        by_name[tensor.name] = tensor
    return order_inputs(signature, by_name)


def order_inputs(signature: Signature, by_name: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Return the tensors in the signature's order.

    Raises:
        InvalidRequest: One is missing.
    """
    missing = [spec.name for spec in signature.inputs if spec.name not in by_name]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise errors.InvalidRequest(f"the request lacks input {names}")
    return tuple(by_name[spec.name] for spec in signature.inputs)


def select_outputs(signature: Signature, names: Sequence[object]) -> tuple[str, ...]:
    """Return the wanted outputs' names; all of them, as an empty tuple, when none is named.

    Raises:
        InvalidRequest: The model has no such output, or one is asked for twice.
    """
    wanted: list[str] = []
    for name in names:
        if not isinstance(name, str) or signature.output(name) is None:
            has = ", ".join(repr(spec.name) for spec in signature.outputs)
            raise errors.InvalidRequest(f"output {name!r} is not an output of the model, which has {has}")
        if name in wanted:
            raise errors.InvalidRequest(f"output {name!r} is asked for twice")
        wanted.append(name)
    return tuple(wanted)


def shape_of_raw(spec: TensorSpec, size: int) -> tuple[int, ...]:
    """Return the shape of a lone tensor that came as bytes with no header.

    The one variable dimension follows from the number of bytes; if there are two, the first is the
    batch and is 1.

    Raises:
        InvalidRequest: The shape can't be told, or the bytes don't fill it.
    """
    if spec.datatype is tensors.BYTES:
        return _checked(spec, (1,) * len(spec.shape), "one element")
    shape = list(spec.shape)
    if shape.count(-1) == 2 and shape[0] == -1:
        shape[0] = 1
    if shape.count(-1) > 1:
        raise errors.InvalidRequest(
            f"input {spec.name!r} has the shape {list(spec.shape)}: a raw body can't say which sizes it has, "
            "send it with a JSON header and Inference-Header-Content-Length"
        )
    if -1 in shape:
        row = spec.datatype.size * math.prod(dimension for dimension in shape if dimension != -1)
        if row == 0 or size % row:
            raise errors.InvalidRequest(
                f"input {spec.name!r}: {size} bytes do not fill {list(spec.shape)} of {spec.datatype.name}"
            )
        shape[shape.index(-1)] = size // row
    return tuple(shape)


def _checked(spec: TensorSpec, shape: tuple[int, ...], words: str) -> tuple[int, ...]:
    if not spec.fits(shape):
        raise errors.InvalidRequest(f"input {spec.name!r}: a raw body is {words}, the model takes {list(spec.shape)}")
    return shape
