"""Runs models with maps, or with BYTES or BF16 tensors, which ONNX Runtime's binding does not take as numpy arrays.

BYTES pass as text (all that the binding takes), BF16 as OrtValues made from, and read back as, the bits; an output of
maps becomes an array of their scores.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from foresail_runtime import errors, tensors
from foresail_runtime.engine import maps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.tensors import Signature


def is_needed(session: ort.InferenceSession, signature: Signature) -> bool:
    """Tell whether an input or output of the model can't pass as it is.

    Raises:
        ModelUnusable: The model mixes the two kinds, and no call of the binding takes both.
    """
    used = {spec.datatype for spec in (*signature.inputs, *signature.outputs)}
    if {tensors.BF16, tensors.BYTES} <= used:
        raise errors.ModelUnusable(
            "UnsupportedSignature", "the model mixes string and bfloat16 tensors, which ONNX Runtime can't pass at once"
        )
    mapped = any(node.type in maps.TYPES for node in session.get_outputs())
    if mapped and tensors.BF16 in used:
        raise errors.ModelUnusable(
            "UnsupportedSignature", "the model mixes bfloat16 tensors with maps, which ONNX Runtime can't pass at once"
        )
    return mapped or tensors.BF16 in used or tensors.BYTES in used


def run(
    session: ort.InferenceSession,
    signature: Signature,
    inputs: Mapping[str, npt.NDArray[Any]],
    outputs: Sequence[str],
    classes: dict[str, list[Any]],
    *,
    how: ort.RunOptions | None = None,
) -> list[npt.NDArray[Any]]:
    """Run the model once, its BYTES as text or its BF16 as OrtValues; `classes` learns what columns of scores are.

    Raises:
        InvalidRequest: A BYTES input is no UTF-8 text.
        ModelFailed: Rows of an output of maps have unlike keys.
    """
    bits = any(spec.datatype is tensors.BF16 for spec in (*signature.inputs, *signature.outputs))
    if bits:
        feed = {
            spec.name: ort.OrtValue.ortvalue_from_numpy_with_onnx_type(
                np.asarray(inputs[spec.name], order="C"), spec.datatype.onnx_number
            )
            for spec in signature.inputs
        }
        return [_from_value(value) for value in session.run_with_ort_values(list(outputs), feed, how)]
    texts = {
        spec.name: _to_text(spec.name, inputs[spec.name]) if spec.datatype is tensors.BYTES else inputs[spec.name]
        for spec in signature.inputs
    }
    given = session.run(list(outputs), texts, how)
    return [_to_array(name, value, classes) for name, value in zip(outputs, given, strict=True)]


def _to_array(name: str, value: Any, classes: dict[str, list[Any]]) -> npt.NDArray[Any]:
    if not isinstance(value, list):
        return _from_text(value)
    if name not in classes and value:
        classes[name] = maps.classes(value)
    return maps.to_array(name, value)


def _to_text(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    text = np.empty(array.size, object)
    try:
        text[:] = [element.decode() for element in array.reshape(-1)]
    except UnicodeDecodeError as error:
        raise errors.InvalidRequest(f"input {name!r} is not UTF-8 text, which is all the model takes") from error
    return text.reshape(array.shape)


def _from_text(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind not in "OU":
        return array
    elements = np.empty(array.size, object)
    elements[:] = [str(element).encode() for element in array.reshape(-1)]
    return elements.reshape(array.shape)


def _from_value(value: ort.OrtValue) -> npt.NDArray[Any]:
    if value.data_type() != tensors.BF16.onnx:
        array: npt.NDArray[Any] = value.numpy()
        return array
    shape = tuple(value.shape())
    # The value's own memory, on the CPU, copied while `value` keeps it alive.
    size = math.prod(shape) * tensors.BF16.size
    return np.frombuffer(ctypes.string_at(value.data_ptr(), size), np.uint16).reshape(shape)
