"""A model on the cluster, balanced by request, with a Service past the proxies beside."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
import time
from typing import Any, Final

MODEL: Final = "model"
"""The name of whatever model is measured."""
REPLICAS: Final = 4
_NEVER_SECONDS: Final = 1_000_000


def kubectl(namespace: str, *words: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", "-n", namespace, *words], capture_output=True, text=True, timeout=180, check=False, input=stdin
    )
    if done.returncode:
        sys.exit(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


@dataclasses.dataclass
class Deployed:
    """The model on the cluster."""

    namespace: str
    file: bytes
    """The model, in ONNX."""
    max_size: int | None = None
    """Of a batch, which gives HAProxy a replica's share."""

    def apply(self, replicas: int, cpu: str) -> None:
        """Apply the model and wait until all of it is there."""
        data = base64.b64encode(self.file).decode()
        models = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "models"}, "binaryData": {"m": data}}
        spec: dict[str, Any] = {
            "model": {"uri": "configmap://models/m"},
            "loadBalancing": "request",
            "replicas": replicas,
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": cpu, "memory": "512Mi"}},
            "serving": {"timeoutSeconds": 10, **({"batching": {"maxSize": self.max_size}} if self.max_size else {})},
        }
        model = {
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": MODEL},
            "spec": spec,
        }
        for manifest in (models, model):
            kubectl(self.namespace, "apply", "-f", "-", stdin=json.dumps(manifest))
        kubectl(self.namespace, "wait", "--for=condition=Ready", f"mdep/{MODEL}", "--timeout=120s")
        self.settle()

    def scale(self, replicas: int) -> None:
        kubectl(self.namespace, "scale", f"mdep/{MODEL}", f"--replicas={replicas}")
        self.settle(replicas)

    def settle(self, replicas: int | None = None) -> None:
        """Wait until the rollout is through, no replica is on its way out, and the proxies are in the Service."""
        deadline = time.monotonic() + 150
        while not self._settled(replicas):
            if time.monotonic() > deadline:
                sys.exit("the model does not settle")
            time.sleep(0.2)

    def _settled(self, replicas: int | None) -> bool:
        deployment = json.loads(kubectl(self.namespace, "get", f"deployment/{MODEL}", "-o", "json"))
        wanted, status = deployment["spec"]["replicas"], deployment["status"]
        pods = json.loads(kubectl(self.namespace, "get", "pods", "-l", f"foresail.dev/model={MODEL}", "-o", "json"))
        service = json.loads(kubectl(self.namespace, "get", f"service/{MODEL}", "-o", "json"))
        led = "foresail.dev/proxy" in service["spec"]["selector"]
        return (
            replicas in (None, wanted)
            and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            and status.get("readyReplicas") == status.get("updatedReplicas") == wanted == len(pods["items"])
            and led
        )

    def without_age(self) -> None:
        """Let connections last: a variable beside those that the operator writes."""
        kubectl(self.namespace, "set", "env", f"deployment/{MODEL}", f"FORESAIL_CONNECTION_SECONDS={_NEVER_SECONDS}")
        self.settle()

    def address(self, service: str) -> str:
        return kubectl(self.namespace, "get", f"service/{service}", "-o", "jsonpath={.spec.clusterIP}")

    def replicas(self) -> list[str]:
        words = ("get", "pods", "-l", f"foresail.dev/model={MODEL}", "-o", "jsonpath={.items[*].status.podIP}")
        return kubectl(self.namespace, *words).split()
