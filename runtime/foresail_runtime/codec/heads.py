"""JSON headers of binary requests, remembered: a client's are alike to the last byte, and what fitted once fits again.

Such a header says all of a request but the tensors' bytes, so that of one that is known only these are looked at.
What is written in it otherwise (an id, numbers as JSON) differs from request to request and is not remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from foresail_runtime import tensors
from foresail_runtime.tensors import InferRequest, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime.codec.rest import Form
    from foresail_runtime.tensors import Datatype, Signature

MAX_KNOWN: Final = 256
"""Remembered a model."""
MAX_BYTES: Final = 1024
"""A longer one is not remembered."""


class _Part(NamedTuple):
    name: str
    datatype: Datatype
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


class _Head(NamedTuple):
    size: int
    """Of the whole body."""
    parts: tuple[_Part, ...]
    rest: tuple[Any, ...]
    """What follows the inputs in the request."""
    form: Form


def find(signature: Signature, head: bytes, body: bytes) -> tuple[InferRequest, Form] | None:
    """Return the request of a body that begins with a known header; None where all of it has to be looked at."""
    known: _Head | None = signature.known_heads.get(head) if len(head) <= MAX_BYTES else None
    if known is None or known.size != len(body):
        return None
    inputs = tuple(
        [
            Tensor(name, datatype, np.ndarray(shape, dtype, body, offset))
            for name, datatype, dtype, shape, offset in known.parts
        ]
    )
    return InferRequest(inputs, *known.rest), known.form


def remember(signature: Signature, head: bytes, sizes: Mapping[str, int], request: InferRequest, form: Form) -> None:
    """Remember the header of a request that fitted; `sizes` has the bytes of each binary tensor, as they lie."""
    if len(head) > MAX_BYTES or len(signature.known_heads) >= MAX_KNOWN or request.id is not None:
        return
    if len(sizes) < len(request.inputs) or not all(map(_is_plain, request.inputs)):
        return
    offsets, size = {}, len(head)
    for name in sizes:
        offsets[name], size = size, size + sizes[name]
    parts = [_Part(one.name, one.datatype, one.datatype.dtype, one.shape, offsets[one.name]) for one in request.inputs]
    signature.known_heads[head] = _Head(size, tuple(parts), tuple(request[1:]), form)


def _is_plain(tensor: Tensor) -> bool:
    """Return whether any bytes of its size are good ones; of none there is no memory to look at."""
    return tensor.datatype not in (tensors.BYTES, tensors.BOOL) and tensor.array.size > 0
