"""What `foresail serve MODEL.onnx` prints once it is ready: where it listens, and a line to try."""

from __future__ import annotations

import json
import math
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import tensors

if TYPE_CHECKING:
    from foresail_runtime.model import Model
    from foresail_runtime.serving import Serving
    from foresail_runtime.tensors import TensorSpec

MAX_ELEMENTS: Final = 256
"""Inputs with more elements than this make no line that anyone would type."""


def text(serving: Serving, host: str, http_port: int, grpc_port: int | None, *, secure: bool = False) -> str:
    """Return the lines."""
    shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"{'https' if secure else 'http'}://{shown}:{http_port}"
    models = {model.name: model for model in serving.models()}
    lines = [f"serving {name} at {_base(address, name)}" for name in models]
    if grpc_port is not None:
        lines.append(f"gRPC at {shown}:{grpc_port}")
    for model in list(models.values())[:1]:
        lines += ["try:", f"  {example(model, address)}"]
    return "\n".join(lines)


def example(model: Model, address: str) -> str:
    """Return a curl line that the model answers with 200."""
    base = _base(address, model.name)
    if model.picture is not None:
        return f"curl --data-binary @photo.jpg '{base}/{model.picture.way}'"
    inputs = [_tensor(spec) for spec in model.signature.inputs]
    if sum(math.prod(entry["shape"]) for entry in inputs) > MAX_ELEMENTS:
        return f"curl {base}"
    body = json.dumps({"inputs": inputs}, separators=(",", ":")).replace("'", "\\u0027")
    return f"curl -d '{body}' {base}/infer"


def _base(address: str, name: str) -> str:
    return f"{address}/v2/models/{urllib.parse.quote(name, safe='')}"


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [1 if size == -1 else size for size in spec.shape]
    count = math.prod(shape)
    value: Any = 0
    if spec.datatype is tensors.BOOL:
        value = False
    elif spec.datatype is tensors.BYTES:
        value = "text"
    return {"name": spec.name, "shape": shape, "datatype": spec.datatype.name, "data": [value] * count}
