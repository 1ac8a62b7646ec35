"""Tensors as JSON values: the `data` of a request, flat or nested, and that of an answer.

Numbers are packed by `struct`, which refuses what numpy would quietly accept (text, null, fractions for whole
numbers, numbers out of range) and is faster than numpy on short lists. FP16 and BF16 are taken as JSON numbers,
rounded to the nearest value they can hold. JSON has no NaN and no infinity: an output that holds one is refused,
never sent as null; the binary form carries it.
"""

from __future__ import annotations

import functools
import itertools
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from foresail_runtime import errors, tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from foresail_runtime.tensors import Datatype, Tensor

_CODES = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d", "BF16": "f",
}  # fmt: skip


def decode(
    name: str, datatype: Datatype, shape: Sequence[int], count: int, data: object, *, may_hold_booleans: bool = True
) -> npt.NDArray[Any]:
    """Return the array of a JSON `data` value; `count` is the number of elements of the shape.

    `may_hold_booleans` False says that no true or false is anywhere in the body, which spares looking at each element.

    Raises:
        InvalidRequest: It is no list, has another number of elements, is ragged, or holds what the datatype can't.
    """
    if type(data) is not list:
        raise errors.InvalidRequest(f"input {name!r}: data is {_kind(data)}, not a list")
    flat = data if not data or type(data[0]) is not list else _flatten(name, shape, data)
    if len(flat) != count:
        raise errors.InvalidRequest(f"input {name!r}: {len(flat)} elements in data, shape {list(shape)} has {count}")
    pack = _packer(datatype, count)
    if pack is None:
        decode_all = _decode_strings if datatype is tensors.BYTES else _decode_booleans
        return decode_all(name, flat).reshape(shape)
    if may_hold_booleans and bool in set(map(type, flat)):
        raise _explain(name, datatype, flat)
    try:
        packed = pack(*flat)
    except (struct.error, OverflowError, TypeError) as error:
        raise _explain(name, datatype, flat) from error
    if datatype is tensors.BF16:
        bits = _round_to_bf16(_to_odd(np.array(flat, np.float64)))
        if (bits & _BF16_INFINITY == _BF16_INFINITY).any():  # FP32 holds it, and it rounds to infinity
            raise _explain(name, datatype, flat)
        return bits.reshape(shape)
    return np.ndarray(shape, datatype.dtype, packed)


def encode(tensor: Tensor) -> Any:
    """Return what orjson writes as the tensor's flat `data`: an array where it can, else a list.

    Raises:
        InvalidRequest: BYTES that are no UTF-8, which a JSON string can't carry.
    """
    array = tensor.array
    if tensor.datatype is tensors.BYTES:
        try:
            return [element.decode() for element in array.ravel()]
        except UnicodeDecodeError as error:
            raise errors.InvalidRequest(
                f"output {tensor.name!r} holds bytes that are no UTF-8 text, which JSON can't carry: {_ASK_BINARY}"
            ) from error
    if tensor.datatype is tensors.BF16:
        return (array.ravel().astype(np.uint32) << 16).view(np.float32)
    return array.ravel()


def check_finite(tensor: Tensor) -> None:
    """Refuse an output that JSON can't carry.

    Raises:
        InvalidRequest: It holds NaN or infinity.
    """
    data = encode(tensor)
    if isinstance(data, np.ndarray) and data.dtype.kind == "f" and not np.isfinite(data).all():
        raise errors.InvalidRequest(
            f"output {tensor.name!r} holds NaN or infinity, which JSON can't carry: {_ASK_BINARY}"
        )


_BF16_INFINITY = 0x7F80
_BF16_TOO_LARGE = 2.0**128 * (1 - 2.0**-9)
"""From here on the nearest of BF16 is infinity."""
_ASK_BINARY = 'ask for it as binary data ("parameters": {"binary_data": true} in the request\'s outputs)'


@functools.lru_cache(maxsize=256)
def _packer(datatype: Datatype, count: int) -> Callable[..., bytes] | None:
    """Return what packs so many numbers of that type; None for BYTES and BOOL, which struct would not check."""
    code = _CODES.get(datatype.name)
    return None if code is None else struct.Struct(f"<{count}{code}").pack


def _flatten(name: str, shape: Sequence[int], data: list[Any]) -> list[Any]:
    level: list[Any] = data
    if not shape or len(level) != shape[0]:
        raise errors.InvalidRequest(f"input {name!r}: {len(level)} rows of nested data, shape is {list(shape)}")
    for dimension in shape[1:]:
        if any(type(row) is not list or len(row) != dimension for row in level):
            raise errors.InvalidRequest(
                f"input {name!r}: nested data does not have the shape {list(shape)}: send it flat, or nested just so"
            )
        level = list(itertools.chain.from_iterable(level))
    return level


def _decode_strings(name: str, flat: list[Any]) -> npt.NDArray[Any]:
    elements = np.empty(len(flat), object)
    try:
        elements[:] = [element.encode() for element in flat]
    except AttributeError as error:
        raise _explain(name, tensors.BYTES, flat) from error
    return elements


def _decode_booleans(name: str, flat: list[Any]) -> npt.NDArray[Any]:
    if flat and set(map(type, flat)) != {bool}:
        raise _explain(name, tensors.BOOL, flat)
    return np.array(flat, np.bool_)


def _to_odd(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """Return FP32's bits of numbers that it can hold, cut and the last bit set where they are not exact.

    What is rounded from that to fewer bits is rounded once (Boldo and Melquiond, "When double rounding is odd").
    """
    nearest = numbers.astype(np.float32)
    bits = nearest.view(np.uint32)
    away = np.abs(nearest.astype(np.float64)) > np.abs(numbers)
    return np.where(nearest == numbers, bits, (bits - away) | np.uint32(1)).astype(np.uint32)


def _round_to_bf16(bits: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
    # Round to nearest, ties to even, as the hardware does; no NaN gets here, JSON has none.
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _explain(name: str, datatype: Datatype, flat: list[Any]) -> errors.InvalidRequest:
    for index, element in enumerate(flat):
        if not _holds(datatype, element):
            return errors.InvalidRequest(
                f"input {name!r}: element {index} is {_kind(element)}, {datatype.name} can't hold it"
            )
    return errors.InvalidRequest(f"input {name!r}: data does not fit {datatype.name}")


def _holds(datatype: Datatype, element: object) -> bool:
    match datatype.name:
        case "BYTES":
            return type(element) is str
        case "BOOL":
            return type(element) is bool
        case _:
            try:
                struct.pack(f"<{_CODES[datatype.name]}", element)
            except (struct.error, OverflowError, TypeError):
                return False
            return type(element) is not bool and not (datatype is tensors.BF16 and _rounds_to_infinity(element))


def _rounds_to_infinity(element: object) -> bool:
    return isinstance(element, int | float) and abs(element) >= _BF16_TOO_LARGE


def _kind(element: object) -> str:
    match element:
        case None:
            return "null"
        case bool():
            return "true" if element else "false"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"the number {element}"
