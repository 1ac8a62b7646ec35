"""Reads what a model takes and gives from an ONNX Runtime session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foresail_runtime import errors, tensors
from foresail_runtime.engine import maps
from foresail_runtime.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    import onnxruntime as ort


def read(session: ort.InferenceSession) -> Signature:
    """Return the session's signature; an output of maps from class to score is a tensor there.

    Raises:
        ModelUnusable: Another input or output is no tensor, or one of a type that the protocol has no name for; or
            there is no input, and nothing that a request could send.
    """
    if not session.get_inputs():
        raise errors.ModelUnusable("UnsupportedSignature", "the model has no inputs: a request would have none to send")
    return Signature(
        tuple(_spec("input", node) for node in session.get_inputs()),
        tuple(_spec("output", node) for node in session.get_outputs()),
        dict(session.get_modelmeta().custom_metadata_map),
    )


def _spec(side: str, node: Any) -> TensorSpec:
    if side == "output" and node.type in maps.TYPES:
        return TensorSpec(node.name, tensors.FP32, (-1, -1))
    datatype = tensors.BY_ONNX.get(node.type)
    if datatype is None:
        raise errors.ModelUnusable(
            "UnsupportedSignature",
            f"{side} {node.name!r} is a {node.type}, which the protocol can't carry: "
            "export the model with a tensor in its place",
        )
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape or ())
    return TensorSpec(node.name, datatype, shape)
