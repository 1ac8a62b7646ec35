"""Load on a model from inside its cluster: a pod that asks, and what it saw."""

from __future__ import annotations

import contextlib
import json
import pathlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.installation import Foresail

NAME: Final = "load"
SCRIPT: Final = pathlib.Path(__file__).with_name("loadgen.py")
MOST_SECONDS: Final = 150


class Seen:
    """What the clients saw; filled when the load has ended."""

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {}

    @property
    def failures(self) -> dict[str, Any]:
        """Everything that was not an answer with status 200."""
        return {
            word: count
            for word, count in self.counts.items()
            if word not in ("ok", "calls", "seconds") and word[:8] != "version "
        }

    @property
    def versions(self) -> set[str]:
        """The model versions that answered."""
        return {word.removeprefix("version ") for word in self.counts if word.startswith("version ")}


@contextlib.contextmanager
def on(foresail: Foresail, namespace: str, model: str, clients: int = 8, callers: int = 0) -> Iterator[Seen]:
    """Ask a model while the block runs; afterwards what is yielded holds what was seen.

    `clients` is the number of HTTP connections, `callers` that of gRPC channels.
    """
    seen = Seen()
    foresail.apply_text(
        namespace, {"apiVersion": "v1", "kind": "List", "items": [script(), pod(model, clients, callers)]}
    )
    kubectl = foresail.cluster.kubectl
    kubectl("wait", "-n", namespace, "--for=condition=Ready", f"pod/{NAME}", "--timeout=60s")
    try:
        yield seen
    finally:
        kubectl("exec", "-n", namespace, NAME, "--", "/opt/foresail/bin/python", "-c", "import os; os.kill(1, 15)")
        kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", f"pod/{NAME}", "--timeout=60s")
        seen.counts = json.loads(kubectl("logs", "-n", namespace, NAME).strip().splitlines()[-1])
        kubectl("delete", "-n", namespace, f"pod/{NAME}", f"configmap/{NAME}", "--wait=true")


def script() -> dict[str, Any]:
    """Build the ConfigMap that carries the clients' program."""
    data = {"loadgen.py": SCRIPT.read_text()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}


def pod(model: str, clients: int, callers: int) -> dict[str, Any]:
    """Build the pod: the runtime's own image has the Python that the program needs."""
    words = [f"http://{model}/v2/models/{model}/infer", f"--clients={clients}", f"--seconds={MOST_SECONDS}"]
    words += [f"--callers={callers}", f"--target={model}:8081", f"--model={model}"] if callers else []
    container = {
        "name": NAME,
        "image": "localhost/foresail-runtime:0.1.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/foresail/bin/python", "/load/loadgen.py", *words],
        "volumeMounts": [{"name": "script", "mountPath": "/load"}],
        "readinessProbe": {"exec": {"command": ["cat", "/tmp/asking"]}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "script", "configMap": {"name": NAME}}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
