"""How much memory a ModelInfer message takes while it is parsed and made arrays of, told by its fields alone.

An empty tensor is two bytes on the wire and ninety in memory; a typed number of two is more than sixty on its way to an
array, being an object of Python's in between. So what is long is weighed before it is parsed: each field that may be
there many times is looked at, and nothing within the tensors' bytes. The numbers are those of protobuf's upb and of
CPython, measured, and rounded up.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from foresail_runtime import errors
from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

WORST: Final = 56
"""Bytes that no message takes more of, for each of its own."""
MAX_FIELDS: Final = 2**16
"""Of a long message, but for strings: tensors, parameters, numbers that are not packed."""
_FIELD: Final = 192
_STRING: Final = 112
_NUMBER: Final = 64
_SMALL_NUMBER: Final = 24
"""One of a byte on the wire: Python has it once, for all."""
_REAL: Final = 48
_BOOLEAN: Final = 16

_REQUEST: Final = oip_pb2.ModelInferRequest
_INPUT: Final = _REQUEST.InferInputTensor
_CONTENTS: Final = oip_pb2.InferTensorContents
_HEAD: Final = (_REQUEST.MODEL_NAME_FIELD_NUMBER, _REQUEST.MODEL_VERSION_FIELD_NUMBER, _REQUEST.ID_FIELD_NUMBER)
_MAX_HEAD: Final = 4096
_LENGTH: Final = 2
"""The wire type of what says its length: bytes, strings, messages, packed numbers."""
_STRING_TAG: Final = _CONTENTS.BYTES_CONTENTS_FIELD_NUMBER << 3 | _LENGTH
_MORE: Final = 0x80
"""The bit of a varint's byte that another follows."""


class Weight(NamedTuple):
    """Of one message."""

    size: int
    """Bytes that it takes; where it was not looked at to its end, of what was."""
    is_whole: bool
    """Whether it was looked at to its end."""
    head: bytes
    """Of the message, who is asked: name, version and id, as they lie."""


class _Field(NamedTuple):
    number: int
    wire: int
    start: int
    """Of the field's value within the message."""
    end: int


class _Enough(Exception):  # noqa: N818  # no error
    """As many fields were looked at as were to be."""


def weigh(data: bytes, most: int, most_fields: int = sys.maxsize) -> Weight:
    """Return what a message takes, looking at not more than so many fields.

    What is no protobuf is weighed up to where it is none, and parsing it has the words for it.

    Raises:
        TooLarge: It takes more than `most` bytes.
        InvalidRequest: It holds a group, as messages of the first protobuf did.
    """
    scale = _Scale(data, most, most_fields)
    is_whole = True
    try:
        scale.weigh()
    except _Enough:
        is_whole = False
    except IndexError:
        pass  # a field ends behind what holds it
    return Weight(scale.size, is_whole, bytes(scale.head))


class _Scale:
    def __init__(self, data: bytes, most: int, most_fields: int) -> None:
        self.size = 2 * len(data)
        self.head = bytearray()
        self._data = data
        self._most = most
        self._left = most_fields
        self._fields = 0

    def weigh(self) -> None:
        """Look at all of it; raises as `weigh` does, `_Enough`, and IndexError where it is no protobuf."""
        self._each(_Field(0, _LENGTH, 0, len(self._data)), self._in_request)

    def _add(self, size: int) -> None:
        self.size += size
        if self.size > self._most:
            raise errors.TooLarge(
                f"the message of {len(self._data)} bytes would take more while it is read than the limit of "
                f"{self._most} bytes (FORESAIL_MAX_PARSED_BYTES): send raw_input_contents, or fewer rows a request"
            )

    def _count(self) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise errors.TooLarge(f"the message has more than {MAX_FIELDS} fields: send raw_input_contents")
        self._add(_FIELD)

    def _in_request(self, field: _Field) -> None:
        self._count()
        if field.number in _HEAD and field.wire == _LENGTH:
            size = field.end - field.start
            if len(self.head) + size <= _MAX_HEAD:
                self.head += bytes((field.number << 3 | _LENGTH,)) + _varint(size) + self._data[field.start : field.end]
        elif field.number == _REQUEST.INPUTS_FIELD_NUMBER:
            self._each(field, self._in_input)
        elif field.number == _REQUEST.OUTPUTS_FIELD_NUMBER:
            self._each(field, self._in_output)

    def _in_input(self, field: _Field) -> None:
        self._count()
        if field.number == _INPUT.SHAPE_FIELD_NUMBER:
            self._add(_NUMBER * (field.end - field.start))
        elif field.number == _INPUT.CONTENTS_FIELD_NUMBER:
            self._each(field, self._in_contents)

    def _in_output(self, _: _Field) -> None:
        self._count()

    def _in_contents(self, field: _Field) -> None:
        if field.number == _CONTENTS.BYTES_CONTENTS_FIELD_NUMBER:
            self._add(_STRING + 2 * (field.end - field.start))
            return
        self._count()
        if field.wire == _LENGTH:
            self._add(self._weigh_numbers(field.number, field.start, field.end - field.start))

    def _weigh_numbers(self, number: int, start: int, size: int) -> int:
        match number:
            case _CONTENTS.FP32_CONTENTS_FIELD_NUMBER:
                return _REAL * (size // 4)
            case _CONTENTS.FP64_CONTENTS_FIELD_NUMBER:
                return _REAL * (size // 8)
            case _CONTENTS.BOOL_CONTENTS_FIELD_NUMBER:
                return _BOOLEAN * size
        ends = int(np.count_nonzero(np.frombuffer(self._data, np.uint8, size, start) < _MORE))
        return _SMALL_NUMBER * ends + (_NUMBER - _SMALL_NUMBER) * min(ends, size - ends)

    def _each(self, field: _Field, look: Callable[[_Field], None]) -> None:
        if field.wire != _LENGTH:  # nothing that is known: kept as it is
            return
        at = field.start
        while at < field.end:
            if look == self._in_contents:
                at = self._pass_strings(at, field.end)
                if at >= field.end:
                    break
            inner = self._next(at, field.end)
            look(inner)
            at = inner.end

    def _pass_strings(self, at: int, end: int) -> int:
        """Pass short strings that follow each other, which there may be millions of; return where they end."""
        data, left, start, count, size = self._data, self._left, at, 0, 0
        most = (self._most - self.size) // _STRING + 1
        while at < end and data[at] == _STRING_TAG and (size := data[at + 1]) < _MORE and count < left:
            at += 2 + size
            count += 1
            if count > most:
                break
        self._left = left - count
        self._add(_STRING * count + 2 * (at - start))
        return at

    def _next(self, at: int, end: int) -> _Field:
        if self._left <= 0:
            raise _Enough
        self._left -= 1
        data = self._data
        tag, at = _read(data, at)
        wire, start = tag & 7, at
        match wire:
            case 0:
                _, at = _read(data, at)
            case 1 | 5:
                at += 8 if wire == 1 else 4
            case _ if wire == _LENGTH:
                size, start = _read(data, at)
                at = start + size
            case 3 | 4:  # what stands in one would be taken for what stands beside it
                raise errors.InvalidRequest("the message holds a group, which is no part of the protocol")
            case _:
                raise IndexError
        if at > end:
            raise IndexError
        return _Field(tag >> 3, wire, start, at)


def _read(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint, and where it ends; raises IndexError where there is none."""
    byte = data[at]
    if byte < _MORE:
        return byte, at + 1
    value = 0
    for place in range(10):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < _MORE:
            return value, at + place + 1
    raise IndexError


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number & 0x7F | _MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
