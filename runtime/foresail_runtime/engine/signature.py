"""Reads what a model takes and gives from an ONNX Runtime session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foresail_runtime import errors, tensors
from foresail_runtime.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    import onnxruntime as ort


def read(session: ort.InferenceSession) -> Signature:
    """Return the session's signature.

    Raises:
        ModelUnusable: An input or output is no tensor, or one of a type that the protocol has no name for; or there
            is no input, and nothing that a request could send.
    """
    if not session.get_inputs():
        raise errors.ModelUnusable("UnsupportedSignature", "the model has no inputs: a request would have none to send")
    return Signature(
        tuple(_spec("input", node) for node in session.get_inputs()),
        tuple(_spec("output", node) for node in session.get_outputs()),
        dict(session.get_modelmeta().custom_metadata_map),
    )


def _spec(side: str, node: Any) -> TensorSpec:
    datatype = tensors.BY_ONNX.get(node.type)
    if datatype is None:
        hint = ": convert the model with zipmap=False" if "map(" in node.type else ""
        raise errors.ModelUnusable(
            "UnsupportedSignature", f"{side} {node.name!r} is a {node.type}, which the protocol can't carry{hint}"
        )
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape or ())
    return TensorSpec(node.name, datatype, shape)
