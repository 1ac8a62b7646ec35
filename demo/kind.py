"""The commands that the demo runs for a kind cluster, as plain lists: what a test can read without Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROGRAM: Final = "scripts/kind"
"""The one on PATH, else one that is built on first use."""
CLUSTER: Final = "foresail-demo"
METRICS_SERVER: Final = "https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml"
"""kind has none of its own; a cpu autoscaler needs it, the demo itself does not."""
METRICS_API: Final = "v1beta1.metrics.k8s.io"
"""The APIService that is part of metrics-server."""


def create(kubeconfig: Path, image: str = "") -> list[str]:
    """Make the cluster and write its kubeconfig; the user's own is left alone.

    Its node is of the image, or where that is empty of the one that this kind knows, which docker then pulls.
    """
    words = [PROGRAM, "create", "cluster", "--name", CLUSTER, "--kubeconfig", str(kubeconfig), "--wait", "180s"]
    return [*words, "--image", image] if image else words


def clusters() -> list[str]:
    """List the names of all clusters of this machine's."""
    return [PROGRAM, "get", "clusters"]


def delete(kubeconfig: Path) -> list[str]:
    """Remove the cluster, if it is there."""
    return [PROGRAM, "delete", "cluster", "--name", CLUSTER, "--kubeconfig", str(kubeconfig)]


def end() -> str:
    """Return what a user types to remove a cluster that was kept."""
    return f"{PROGRAM} delete cluster --name {CLUSTER}"


def load_image(name: str) -> list[str]:
    """Put an image of the Docker daemon on the nodes."""
    return [PROGRAM, "load", "docker-image", name, "--name", CLUSTER]


def install_metrics_server(kubectl: Sequence[str]) -> list[list[str]]:
    """Apply metrics-server and let it talk to kind's kubelets, whose certificates nobody signed."""
    flag = '[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--kubelet-insecure-tls"}]'
    return [
        [*kubectl, "apply", "-f", METRICS_SERVER],
        [*kubectl, "-n", "kube-system", "patch", "deployment", "metrics-server", "--type=json", "-p", flag],
        [*kubectl, "-n", "kube-system", "rollout", "status", "deployment/metrics-server", "--timeout=180s"],
    ]


def remove_metrics_api(kubectl: Sequence[str]) -> list[str]:
    """Take the metrics API away: one that nobody answers for holds up every namespace that is deleted."""
    return [*kubectl, "delete", "apiservice", METRICS_API, "--ignore-not-found"]


def forward(kubectl: Sequence[str], namespace: str, service: str, port: int) -> list[str]:
    """Lead a free port of this machine, which kubectl prints, to a Service.

    It leads to one pod: the demo's load therefore reaches only the first replica on kind, which is all that is
    needed for the others to be added.
    """
    return [*kubectl, "-n", namespace, "port-forward", f"service/{service}", f":{port}", "--address", "127.0.0.1"]
