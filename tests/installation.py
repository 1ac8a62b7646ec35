"""Foresail on a cluster with kubelets, as a user installs it: images on the nodes, the chart by helm."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import time
import tomllib
from typing import TYPE_CHECKING, Any, Final, TypeVar

from foresail_testbed import cluster as testbed
from foresail_testbed import diagnostics, external, images
from tests import objects

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Cluster = testbed.Cluster | external.External
ROOT: Final = pathlib.Path(__file__).resolve().parents[1]
NAMESPACE: Final = "foresail-system"
RELEASE: Final = "foresail"
READY_SECONDS: Final = 120.0
IMAGES: Final = (
    ("foresail-operator", "Dockerfile.operator", "."),
    ("foresail-runtime", "Dockerfile.runtime", "."),
    ("foresail-proxy", "Dockerfile.proxy", "."),
    ("foresail-example-models", "examples/model-store/Dockerfile", "examples"),
)


@dataclasses.dataclass
class Foresail:
    """An installed operator, and what tests do with models on its cluster."""

    cluster: Cluster

    @functools.cached_property
    def objects(self) -> objects.Objects:
        """The cluster's objects by a kept connection."""
        return objects.Objects(self.cluster)

    def apply(self, namespace: str, *files: str) -> None:
        """Apply files of the project, given by their path from its root."""
        words = [word for name in files for word in ("-f", str(ROOT / name))]
        self.cluster.kubectl("apply", "-n", namespace, *words)

    def apply_text(self, namespace: str, manifest: str | dict[str, Any]) -> None:
        """Apply one manifest, as text or as an object."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        self.cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)

    def store(self, namespace: str) -> None:
        """Start the example models' store in a namespace and wait until it serves."""
        self.apply(namespace, "examples/model-store/model-store.yaml")
        self.cluster.kubectl("rollout", "status", "-n", namespace, "deployment/model-store", "--timeout=120s")

    def wait_ready(self, namespace: str, name: str) -> None:
        """Wait as users do; raises TestbedError with kubectl's words."""
        self.cluster.kubectl(
            "wait", "-n", namespace, "--for=condition=Ready", f"mdep/{name}", f"--timeout={READY_SECONDS:.0f}s",
            seconds=READY_SECONDS + 10,
        )  # fmt: skip

    def model(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the ModelDeployment as the API server has it."""
        found = self.objects.get("mdep", namespace, name)
        assert found is not None, f"there is no model {name}"
        return found

    def condition(self, namespace: str, name: str, kind: str) -> dict[str, Any]:
        """Return one condition of the status; empty while it isn't there."""
        conditions = self.model(namespace, name).get("status", {}).get("conditions", [])
        found: dict[str, Any] = next((each for each in conditions if each["type"] == kind), {})
        return found


def install(cluster: Cluster) -> Foresail:
    """Build the images, put them on the cluster's nodes, and install the chart."""
    load_images(cluster)
    helm(cluster, "install", RELEASE, str(ROOT / "charts/foresail"), "--create-namespace", "--wait", "--timeout=120s")
    return Foresail(cluster)


def load_images(cluster: Cluster) -> None:
    """Put the images on every node, unless a foreign cluster's have them; again after a node was added."""
    if os.environ.get(external.LOADED_VARIABLE):
        return
    for archive in archives():
        cluster.load_image(archive)


def archives() -> list[pathlib.Path]:
    """Return the images' archives, built if what they are made of has changed."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return [
        images.ensure(ROOT / file, f"localhost/{name}:{version}", context=ROOT / context)
        for name, file, context in IMAGES
    ]


def open_nodes(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the nodes that take any pod; a control plane of its own, say kind's beside workers, has a taint."""
    return [node for node in cluster.get("nodes")["items"] if not node["spec"].get("taints")]


def helm(cluster: Cluster, *words: str) -> str:
    """Run helm for the release's namespace and return what it prints."""
    done = cluster.execute([str(ROOT / "scripts/helm"), *words, "--namespace", NAMESPACE], seconds=180)
    assert done.returncode == 0, f"{done.stderr}\n{diagnostics.describe(cluster, NAMESPACE)}"
    return done.stdout


def eventually(look: Callable[[], T], holds: Callable[[T], bool], seconds: float, what: str) -> T:
    """Look again until what is seen holds, and return it; fails with what was seen last."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; last seen: {seen}"
        time.sleep(0.2)
    return seen
