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

    from foresail_runtime.tensors import Signature, TensorSpec


def is_needed(session: ort.InferenceSession, signature: Signature) -> bool:
    """Tell whether an input or output of the model can't pass as it is.

    Raises:
        ModelUnusable: No call of the binding takes what goes in together with what comes out.
    """
    bits = any(spec.datatype is tensors.BF16 for spec in signature.outputs)
    texts = any(spec.datatype is tensors.BYTES for spec in signature.inputs)
    mapped = any(node.type in maps.TYPES for node in session.get_outputs())
    if bits and (texts or mapped):
        raise errors.ModelUnusable(
            "UnsupportedSignature",
            f"the model gives bfloat16 beside {'string inputs' if texts else 'maps'}, which ONNX Runtime can't pass at "
            "once: put a Cast to float behind its bfloat16 outputs",
        )
    odd = (tensors.BF16, tensors.BYTES)
    return mapped or any(spec.datatype in odd for spec in (*signature.inputs, *signature.outputs))


def run(
    session: ort.InferenceSession,
    signature: Signature,
    inputs: Mapping[str, npt.NDArray[Any]],
    outputs: Sequence[str],
    classes: dict[str, list[Any]],
    *,
    how: ort.RunOptions | None = None,
) -> list[npt.NDArray[Any]]:
    """Run the model once, its BYTES as text and its BF16 as OrtValues; `classes` learns what columns of scores are.

    Raises:
        InvalidRequest: A BYTES input is no UTF-8 text.
        ModelFailed: Rows of an output of maps have unlike keys.
    """
    if any(spec.datatype is tensors.BF16 for spec in signature.outputs):  # which only OrtValues can carry
        values = {spec.name: _to_value(spec, inputs[spec.name]) for spec in signature.inputs}
        return [_from_value(value) for value in session.run_with_ort_values(list(outputs), values, how)]
    given = session.run(list(outputs), {spec.name: _to_feed(spec, inputs[spec.name]) for spec in signature.inputs}, how)
    return [_to_array(name, value, classes) for name, value in zip(outputs, given, strict=True)]


def _to_feed(spec: TensorSpec, array: npt.NDArray[Any]) -> npt.NDArray[Any] | ort.OrtValue:
    if spec.datatype is tensors.BYTES:
        return _to_text(spec.name, array)
    return _to_value(spec, array) if spec.datatype is tensors.BF16 else array


def _to_value(spec: TensorSpec, array: npt.NDArray[Any]) -> ort.OrtValue:
    kind = spec.datatype.onnx_number
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.asarray(array, order="C"), kind)


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
        return _from_text(value.numpy())
    shape = tuple(value.shape())
    # The value's own memory, on the CPU, copied while `value` keeps it alive.
    size = math.prod(shape) * tensors.BF16.size
    return np.frombuffer(ctypes.string_at(value.data_ptr(), size), np.uint16).reshape(shape)
