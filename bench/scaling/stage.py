"""A testbed with Foresail on it, and what the parts of the benchmark look at."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import os
import re
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.scaling.watcher import Watcher
from foresail_testbed import cgroups
from tests import installation

if TYPE_CHECKING:
    from foresail_testbed.api import Client
    from foresail_testbed.cluster import Cluster

ROOT: Final = Path(__file__).parents[2]
NAMESPACE: Final = "default"
FILE: Final = ROOT / "tests/runtime/models/mlp.onnx"
BODY: Final = json.dumps(
    {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}
).encode()
_MODELS: Final = f"/apis/foresail.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments"
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
LOOK_SECONDS: Final = 0.05
_FORWARDED: Final = re.compile(r'^foresail_activator_connections_total\{outcome="forwarded"\} (\S+)$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Size:
    """A Deployment at one moment."""

    at: float
    asked: int
    ready: int


def line(sizes: list[Size], zero: float) -> list[tuple[float, int, int]]:
    """Return sizes for a plot: seconds after `zero`, asked for, ready."""
    return [(round(size.at - zero, 2), size.asked, size.ready) for size in sizes]


class Stage:
    """One model at a time on a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.api: Client = cluster.api()

    def usage(self) -> Usage:
        """Return what the operator's processes have used so far."""
        return Usage.look(self._cluster.run.name)

    def store(self) -> None:
        """Start the store of the example models, and wait until it serves."""
        installation.Foresail(self._cluster).store(NAMESPACE)

    def apply(self, name: str, **spec: Any) -> None:
        """Apply a model, served from a ConfigMap unless `spec` says otherwise, and wait until it is ready."""
        digest = f"sha256:{hashlib.sha256(FILE.read_bytes()).hexdigest()}"
        model = {
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name},
            "spec": {
                "model": {"uri": "configmap://models/mlp.onnx", "digest": digest, "version": "1"},
                "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
                **spec,
            },
        }
        data = {"mlp.onnx": base64.b64encode(FILE.read_bytes()).decode()}
        files = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "models"}, "binaryData": data}
        items = {"apiVersion": "v1", "kind": "List", "items": [files, model]}
        self._cluster.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(items))
        ready = ("--for=condition=Ready", f"mdep/{name}", "--timeout=90s")
        self._cluster.kubectl("wait", "-n", NAMESPACE, *ready)

    def delete(self, name: str) -> None:
        """Take a model away, pods and all."""
        words = (f"mdep/{name}", "--cascade=foreground", "--timeout=90s")
        self._cluster.kubectl("delete", "-n", NAMESPACE, *words)

    def url(self, name: str) -> str:
        """Return where its requests go: through the Service."""
        address = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}")["spec"]["clusterIP"]
        return f"http://{address}/v2/models/{name}/infer"

    def status(self, name: str) -> dict[str, Any]:
        """Return a model's status."""
        found: dict[str, Any] = self.api.get(f"{_MODELS}/{name}").get("status", {})
        return found

    def active(self, name: str) -> bool:
        """Return whether its autoscaler reads what it scales on."""
        conditions = self.status(name).get("conditions", ())
        return any((one["type"], one["status"]) == ("ScalingActive", "True") for one in conditions)

    def sleep(self, name: str) -> None:
        """Set its size to 0, as the operator does after the idle time, and wait until nobody is ready."""
        wait(lambda: not self._says_asleep(name) and self.size(name).ready, 60, f"{name} is seen awake")
        path = f"{_DEPLOYMENTS}/{name}/scale"
        self.api.send("PATCH", path, {"spec": {"replicas": 0}}, "application/merge-patch+json")
        wait(lambda: self._asleep(name), 60, f"{name} sleeps")

    def forwarded(self) -> int:
        """Return how many connections the activators have handed on."""
        pods = f"/api/v1/namespaces/{installation.NAMESPACE}/pods"
        total = 0
        for pod in self.api.get(f"{pods}?labelSelector=app.kubernetes.io%2Fname%3Dforesail-activator")["items"]:
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080/metrics", timeout=5) as answer:
                found = _FORWARDED.search(answer.read().decode())
            total += int(float(found[1])) if found else 0
        return total

    def size(self, name: str) -> Size:
        """Look at its Deployment."""
        found = self.api.get(f"{_DEPLOYMENTS}/{name}")
        return Size(time.monotonic(), found["spec"].get("replicas", 1), found["status"].get("readyReplicas", 0))

    def watching(self, name: str) -> Watcher[Size]:
        """Return a watcher of its size, on a connection of its own."""
        return Watcher(functools.partial(Stage(self._cluster).size, name), LOOK_SECONDS)

    def _asleep(self, name: str) -> bool:
        """Tell whether it sleeps and its last pod, which answers while it ends, is gone."""
        pods = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=foresail.dev%2Fmodel%3D{name}")
        return self._says_asleep(name) and not pods["items"]

    def _says_asleep(self, name: str) -> bool:
        conditions = self.status(name).get("conditions", ())
        return any((one["type"], one["status"]) == ("Asleep", "True") for one in conditions)


@dataclasses.dataclass(frozen=True)
class Usage:
    """What the operator's processes have used so far."""

    at: float
    cpu_seconds: float
    resident_bytes: int

    @classmethod
    def look(cls, cluster: str) -> Usage:
        """Read it from /proc: a cluster's containers are processes of this machine, in groups of its name."""
        cpu, memory, groups = 0.0, 0, cgroups.root_of(cluster, "").encode()
        for folder in Path("/proc").iterdir():
            try:
                if b"foresail_operator" not in (folder / "cmdline").read_bytes().replace(b"-", b"_"):
                    continue
                if groups not in (folder / "cgroup").read_bytes():
                    continue
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                memory += int((folder / "statm").read_text().split()[1]) * _PAGE
            except OSError:  # no process, or one that has just ended
                continue
            cpu += (int(fields[11]) + int(fields[12])) / _TICK
        return cls(time.monotonic(), cpu, memory)

    def since(self, before: Usage) -> dict[str, float]:
        """Return the share of a core since then, and the memory now in MiB."""
        share = (self.cpu_seconds - before.cpu_seconds) / (self.at - before.at)
        return {"cpu_percent": round(100 * share, 1), "mebibytes": round(self.resident_bytes / 2**20, 1)}


def wait(holds: Any, seconds: float, what: str) -> Any:
    """Look again until something holds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(LOOK_SECONDS)
    return found
