"""The small model that the suite serves: a perceptron of 10 KB that fits a ConfigMap."""

from __future__ import annotations

import base64
import hashlib
import pathlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.installation import Foresail

FILE: Final = pathlib.Path(__file__).resolve().parents[1] / "runtime/models/mlp.onnx"
NAME: Final = "mlp"


def digest() -> str:
    """Return the model file's digest as spec.model.digest has it."""
    return f"sha256:{hashlib.sha256(FILE.read_bytes()).hexdigest()}"


def configmap() -> dict[str, Any]:
    """Build the ConfigMap that holds the model."""
    data = base64.b64encode(FILE.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "models"},
        "binaryData": {"mlp.onnx": data},
    }


def deployment(version: str = "1", **spec: Any) -> dict[str, Any]:
    """Build the ModelDeployment; `spec` replaces or adds fields."""
    small = {"cpu": "50m", "memory": "128Mi"}
    fields: dict[str, Any] = {
        "model": {"uri": "configmap://models/mlp.onnx", "digest": digest(), "version": version},
        "serving": {"timeoutSeconds": 10},
        "resources": {"requests": small},
    }
    return {
        "apiVersion": "foresail.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {**fields, **spec},
    }


def start(foresail: Foresail, namespace: str, **spec: Any) -> None:
    """Apply ConfigMap and ModelDeployment, and wait until the model is ready."""
    foresail.apply_text(namespace, configmap())
    foresail.apply_text(namespace, deployment(**spec))
    foresail.wait_ready(namespace, NAME)
