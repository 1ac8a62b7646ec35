"""Keeps the least whole number there is from models that may divide it by -1, which ends the process.

ONNX Runtime 1.32 on the CPU: Div of INT32 and INT64, whose result has no room (SIGFPE). Div by 0, Mod and smaller whole
numbers are answered. A model may still come to that number by itself, out of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


def check(inputs: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse inputs of whole numbers that hold the least there is.

    Raises:
        InvalidRequest: There is one.
    """
    for name, array in inputs.items():
        if array.dtype.kind != "i" or array.dtype.itemsize < 4 or not array.size:
            continue
        least = int(np.iinfo(array.dtype).min)
        if array.min() == least:
            raise errors.InvalidRequest(
                f"input {name!r} holds {least}: the model divides whole numbers, and ONNX Runtime's Div would end the "
                f"process if it were to divide this one by -1; send {least + 1} or more"
            )
