"""The main job: one ModelDeployment, a photograph in, boxes out; a delete takes everything away."""

from __future__ import annotations

import io
import json
import pathlib
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest
from PIL import Image

from tests.installation import ROOT, eventually

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

MODEL: Final = "retail-shelf"
EXAMPLE: Final = "examples/03-retail-shelf/retail-shelf.yaml"
GOLDEN: Final = {
    "chelsea.png": ("cat", 0.60, [2, 0, 438, 298]),
    "astronaut.png": ("person", 0.73, [15, 14, 364, 507]),
    "horse.png": ("horse", 0.67, [15, 4, 396, 315]),
    "coffee.png": ("dining table", 0.47, [10, 1, 595, 400]),
}


def post(url: str, picture: str) -> bytes:
    data = (pathlib.Path(ROOT) / "tests/pictures" / picture).read_bytes()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        body: bytes = answer.read()
    return body


def owned(foresail: Foresail, namespace: str) -> list[str]:
    kinds = "deployment,replicaset,service,endpointslice,hpa,pdb,configmap,pod"
    names = foresail.cluster.kubectl("get", kinds, "-n", namespace, "-l", "foresail.dev/model", "-o", "name")
    return sorted({name.partition("/")[0] for name in names.split()})


def test_applied_detector_answers_photographs_with_boxes_and_a_delete_takes_all_away(
    foresail: Foresail, namespace: str
) -> None:
    foresail.store(namespace)
    foresail.apply(namespace, EXAMPLE)
    foresail.wait_ready(namespace, MODEL)
    with foresail.cluster.reach(namespace, MODEL, 80) as url:
        address = f"{url}/v2/models/{MODEL}/detect?confidence=0.35&iou=0.5"
        answers = {name: json.loads(post(address, name)) for name in GOLDEN}
        drawn = Image.open(io.BytesIO(post(f"{address}&format=png", "astronaut.png")))
    for name, (label, confidence, box) in GOLDEN.items():
        best: dict[str, Any] = answers[name]["detections"][0]
        assert best["class_name"] == label
        assert best["confidence"] == pytest.approx(confidence, abs=0.015)
        assert best["box"] == pytest.approx(box, abs=2)
    assert drawn.size == (512, 512)
    assert owned(foresail, namespace) == [
        "configmap", "deployment.apps", "endpointslice.discovery.k8s.io", "horizontalpodautoscaler.autoscaling",
        "pod", "poddisruptionbudget.policy", "replicaset.apps", "service",
    ]  # fmt: skip
    foresail.cluster.kubectl("delete", "mdep", MODEL, "-n", namespace)
    eventually(lambda: owned(foresail, namespace), lambda left: left == [], 120, "everything of the model to go")
