"""A model on a volume claim: filled by one pod, served by others."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests import installation
from tests.e2e import load, models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

SIZE = "8Mi"
CLASS = "of-the-test"


@pytest.fixture
def claim(foresail: Foresail, namespace: str) -> Iterator[str]:
    """Have a volume of one node's disk, claimed, with the model on it."""
    node = installation.open_nodes(foresail.cluster)[0]["metadata"]["labels"]["kubernetes.io/hostname"]
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": "models"},
            "hostPath": {"path": f"/var/tmp/{namespace}", "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
            ]}]}},
        },
    }  # fmt: skip
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "resources": {"requests": {"storage": SIZE}},
        },
    }
    for manifest in (volume, wanted, models.configmap()):
        foresail.apply_text(namespace, manifest)
    carry(foresail, namespace, "cp /from/mlp.onnx /to/mlp.onnx")
    yield "models"
    foresail.cluster.kubectl("delete", "-n", namespace, "mdep", models.NAME, "--cascade=foreground", "--timeout=60s")
    carry(foresail, namespace, "rm -r /to/*")
    foresail.cluster.kubectl("delete", "pv", namespace, "--wait=false")


def carry(foresail: Foresail, namespace: str, command: str) -> None:
    """Run a command in a pod of root's with the ConfigMap at /from and the claim at /to."""
    container: dict[str, Any] = {
        "name": "carrier",
        "image": load.IMAGE,
        "command": ["sh", "-c", command],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "from", "mountPath": "/from"}, {"name": "to", "mountPath": "/to"}],
    }
    volumes = [
        {"name": "from", "configMap": {"name": "models"}},
        {"name": "to", "persistentVolumeClaim": {"claimName": "models"}},
    ]
    spec = {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}
    kubectl = foresail.cluster.kubectl
    foresail.apply_text(namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "carrier"}, "spec": spec})
    done = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl("wait", "-n", namespace, done, "pod/carrier", "--timeout=60s")
    kubectl("delete", "-n", namespace, "pod/carrier", "--wait=true")


def test_a_model_on_a_claim_is_verified_and_served(foresail: Foresail, namespace: str, claim: str) -> None:
    source = {"uri": f"pvc://{claim}/mlp.onnx", "digest": models.digest(), "version": "1"}
    foresail.apply_text(namespace, models.deployment(model=source))
    foresail.wait_ready(namespace, models.NAME)
    tensor = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}
    with foresail.cluster.reach(namespace, models.NAME, 80) as url:
        question = urllib.request.Request(
            f"{url}/v2/models/{models.NAME}/infer", json.dumps({"inputs": [tensor]}).encode()
        )
        with urllib.request.urlopen(question, timeout=30) as answer:
            assert json.loads(answer.read())["model_version"] == "1"
