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
IMAGE: Final = "localhost/foresail-runtime:0.1.0"
"""The runtime's own has the Python and the shell that the tests need."""
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
def on(
    foresail: Foresail,
    namespace: str,
    model: str,
    clients: int = 8,
    callers: int = 0,
    *,
    pause: float = 0.01,
    name: str = NAME,
) -> Iterator[Seen]:
    """Ask a model while the block runs; afterwards what is yielded holds what was seen.

    `clients` is the number of HTTP connections, each with so many seconds' `pause` between its requests, `callers` that
    of gRPC channels. Two loads at a time need names of their own.
    """
    seen = Seen()
    words = [f"--clients={clients}", f"--pause={pause}"]
    words += [f"--callers={callers}", f"--target={model}:8081", f"--model={model}"] if callers else []
    foresail.apply_text(
        namespace, {"apiVersion": "v1", "kind": "List", "items": [script(name), pod(name, model, words)]}
    )
    kubectl = foresail.cluster.kubectl
    kubectl("wait", "-n", namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    try:
        yield seen
    finally:
        kubectl("exec", "-n", namespace, name, "--", "/opt/foresail/bin/python", "-c", "import os; os.kill(1, 15)")
        kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
        seen.counts = json.loads(kubectl("logs", "-n", namespace, name).strip().splitlines()[-1])
        kubectl("delete", "-n", namespace, f"pod/{name}", f"configmap/{name}", "--wait=true")


def script(name: str) -> dict[str, Any]:
    """Build the ConfigMap that carries the clients' program."""
    data = {"loadgen.py": SCRIPT.read_text()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, model: str, words: list[str]) -> dict[str, Any]:
    """Build the pod: the runtime's own image has the Python that the program needs."""
    words = [f"http://{model}/v2/models/{model}/infer", f"--seconds={MOST_SECONDS}", *words]
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/foresail/bin/python", "/load/loadgen.py", *words],
        "volumeMounts": [{"name": "script", "mountPath": "/load"}],
        "readinessProbe": {"exec": {"command": ["cat", "/tmp/asking"]}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "script", "configMap": {"name": name}}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
