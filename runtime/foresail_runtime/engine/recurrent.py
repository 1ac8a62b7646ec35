"""Finds the operators whose kernels end the process on tensors of no elements, so that no request brings any to them.

ONNX Runtime 1.32 on the CPU: GRU and LSTM with no rows, GRU with no steps ("terminate called without an
active exception"). What the nodes are is not to be had of a session, so it is looked for in the bytes of the file.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

_OPERATORS: Final = ("GRU", "LSTM", "DynamicQuantizeLSTM")
_OP_TYPE: Final = b'"'
"""The tag of a node's field `op_type` in a file; a length and the name follow."""


def find(path: Path) -> str:
    """Return the first of these operators that a model has; empty if it has none.

    Weights with just these bytes are as good as impossible, and would cost the model nothing but empty requests.
    """
    if path.stat().st_size == 0:
        return ""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        written = {name: _OP_TYPE + bytes([len(name)]) + name.encode() for name in _OPERATORS}
        return next((name for name in _OPERATORS if data.find(written[name]) >= 0), "")


def check(operator: str, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse inputs of no elements for a model with that operator.

    Raises:
        InvalidRequest: There is one.
    """
    for name, array in inputs.items():
        if array.size == 0:
            raise errors.InvalidRequest(
                f"input {name!r} has the shape {list(array.shape)}: ONNX Runtime's {operator}, which the model has, "
                "can't run on nothing; send a row and a step at least"
            )
