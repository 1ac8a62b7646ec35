"""Keeps tensors of no elements from operators whose kernels end the process on them.

ONNX Runtime 1.32 on the CPU: GRU and LSTM with no rows, GRU with no steps ("terminate called without an active
exception").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy.typing as npt

_OPERATORS: Final = ("GRU", "LSTM", "DynamicQuantizeLSTM")


def find(operators: Collection[str]) -> str:
    """Return the first of these operators among a model's; empty if there is none."""
    return next((name for name in _OPERATORS if name in operators), "")


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
