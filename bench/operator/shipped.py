"""What the chart ships, for an operator that runs as a process: `python -m bench.operator.shipped FILE objects`.

FILE is what `kubectl kustomize deploy` prints. All of it is put on the cluster but the operator's own Deployment, whose
environment the process has; `environment` prints that, a variable a line. The activator is there, its pods kwok's, so
each model gets its slice; and the Service of the metrics API leads to the process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACE: Final = "foresail-system"
ACTIVATOR: Final = "foresail-activator"
"""Name of its Deployment and its Service."""
_OPERATOR: Final = "operator"
"""Name of the container."""
_METRICS_PORT: Final = "metrics-api"


def objects(shipped: Iterable[dict[str, Any]], address: str) -> list[dict[str, Any]]:
    """Return what to apply, where the operator is a process that listens at `address`."""
    manifests = list(shipped)
    container = _container(manifests)
    port = next(one["containerPort"] for one in container["ports"] if one["name"] == _METRICS_PORT)
    service = environment(manifests)["FORESAIL_METRICS_SERVICE"]
    return [*(one for one in manifests if not _runs_operator(one)), _leading_to(service, address, port)]


def environment(shipped: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the variables that the operator's Deployment sets; those that a pod's fields fill are left out."""
    return {one["name"]: one["value"] for one in _container(shipped)["env"] if one.get("value")}


def _container(shipped: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one["spec"]["template"]["spec"]["containers"][0] for one in shipped if _runs_operator(one)
    )
    return found


def _runs_operator(manifest: dict[str, Any]) -> bool:
    if manifest["kind"] != "Deployment":
        return False
    return any(one["name"] == _OPERATOR for one in manifest["spec"]["template"]["spec"]["containers"])


def _leading_to(service: str, address: str, port: int) -> dict[str, Any]:
    """Return a slice through which a Service leads to a process."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-process",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def _print(file: str, what: str) -> None:
    shipped = list(yaml.safe_load_all(Path(file).read_text()))
    if what == "objects":
        print(yaml.safe_dump_all(objects(shipped, os.environ["API"])))
    else:
        print("\n".join(f"{name}={value}" for name, value in environment(shipped).items()))


if __name__ == "__main__":
    _print(*sys.argv[1:])
