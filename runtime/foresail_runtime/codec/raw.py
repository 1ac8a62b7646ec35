"""Tensors as the raw bytes of the binary extension and of gRPC's raw contents: little-endian, row-major, unpadded.

An element of BYTES is its length (uint32) and its bytes. Fixed-size tensors are views of the body, never copies.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from foresail_runtime import errors, tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from foresail_runtime.tensors import Datatype, Tensor

_LENGTH = struct.Struct("<I")
VIEWED_BYTES = 4096
"""Fewer are copied sooner than a view of them is made."""


def decode(
    name: str, datatype: Datatype, shape: Sequence[int], buffer: bytes | bytearray | memoryview
) -> npt.NDArray[Any]:
    """Return the array that the bytes hold.

    Raises:
        InvalidRequest: There are too few or too many bytes for the shape, or BOOL holds more than 0 and 1.
    """
    count = math.prod(shape)
    if datatype is tensors.BYTES:
        return _decode_strings(name, count, buffer).reshape(shape)
    if len(buffer) != count * datatype.size:
        raise errors.InvalidRequest(
            f"input {name!r}: {len(buffer)} bytes for shape {list(shape)} of {datatype.name}, "
            f"which takes {count * datatype.size}"
        )
    if datatype is tensors.BOOL:
        return _decode_booleans(name, buffer).reshape(shape)
    return np.frombuffer(buffer, datatype.dtype).reshape(shape)


def encode(tensor: Tensor) -> bytes | memoryview:
    """Return the tensor's bytes: a view of the array's own memory where that is large and as the wire wants it."""
    if tensor.datatype is tensors.BYTES:
        parts: list[bytes] = []
        for element in tensor.array.ravel():
            parts += (_LENGTH.pack(len(element)), element)
        return b"".join(parts)
    array = tensor.array
    if array.dtype != tensor.datatype.dtype:
        array = array.astype(tensor.datatype.dtype)
    if array.nbytes < VIEWED_BYTES:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).data.cast("B")


def copy(tensor: Tensor) -> bytes:
    """Return the tensor's bytes as an object of their own, for those who keep them."""
    if tensor.array.dtype == tensor.datatype.dtype and tensor.datatype is not tensors.BYTES:
        return tensor.array.tobytes()
    return bytes(encode(tensor))


def _decode_booleans(name: str, buffer: bytes | bytearray | memoryview) -> npt.NDArray[Any]:
    numbers = np.frombuffer(buffer, np.uint8)
    if numbers.size and numbers.max() > 1:
        raise errors.InvalidRequest(f"input {name!r}: a byte of BOOL is {int(numbers.max())}, it is 0 or 1")
    return numbers.view(np.bool_)


def _decode_strings(name: str, count: int, buffer: bytes | bytearray | memoryview) -> npt.NDArray[Any]:
    # Each element takes four bytes at least: checked first, so that a shape alone can't make us allocate.
    if count * _LENGTH.size > len(buffer):
        raise errors.InvalidRequest(f"input {name!r}: {len(buffer)} bytes are too few for {count} elements of BYTES")
    view = memoryview(buffer)
    elements = np.empty(count, object)
    offset = 0
    for index in range(count):
        start = offset + _LENGTH.size
        if start > len(view):
            raise errors.InvalidRequest(f"input {name!r}: the bytes end before element {index} of {count}")
        offset = start + _LENGTH.unpack_from(view, start - _LENGTH.size)[0]
        if offset > len(view):
            raise errors.InvalidRequest(
                f"input {name!r}: element {index} says it has {offset - start} bytes, {len(view) - start} are left"
            )
        elements[index] = bytes(view[start:offset])
    if offset != len(view):
        raise errors.InvalidRequest(f"input {name!r}: {len(view) - offset} bytes are left after {count} elements")
    return elements


def whole_string(body: bytes, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Return the lone element of BYTES that a body without a header is, with no length before it."""
    element = np.empty(1, object)
    element[0] = body
    return element.reshape(shape)
