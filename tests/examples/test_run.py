"""The examples run on a real cluster, in the order in which a newcomer reads them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests import installation
from tests.examples import examples
from tests.installation import eventually

if TYPE_CHECKING:
    import pathlib

    from tests.installation import Foresail

pytestmark = pytest.mark.e2e
PICTURES = examples.ROOT / "tests" / "pictures"
STEP_SECONDS = 180.0


def start(foresail: Foresail, namespace: str, folder: str, name: str) -> None:
    foresail.apply(namespace, f"examples/{folder}/{name}.yaml")
    foresail.wait_ready(namespace, name)


def post(foresail: Foresail, namespace: str, path: str, file: pathlib.Path) -> Any:
    """Post a file to `MODEL/what` and return the answer."""
    name = path.partition("/")[0]
    kind = "application/json" if file.suffix == ".json" else "image/png"
    with foresail.cluster.reach(namespace, name, 80) as url:
        request = urllib.request.Request(f"{url}/v2/models/{path}", file.read_bytes(), {"Content-Type": kind})
        return json.loads(eventually(lambda: send(request), bool, 15, f"an answer of {path}"))


def send(request: urllib.request.Request) -> bytes:
    """Return the answer; nothing while the nodes' proxies do not know the new Service yet."""
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: bytes = answer.read()
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return b""
        raise
    return body


def same(given: Any, promised: Any, tolerances: dict[str, float]) -> None:
    """Compare an answer with the page's, numbers within what the page says of them."""
    assert given.keys() == promised.keys()
    for key, value in promised.items():
        if key in tolerances:
            assert given[key] == pytest.approx(value, abs=tolerances[key])
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            assert len(given[key]) == len(value)
            for one, other in zip(given[key], value, strict=True):
                same(one, other, tolerances)
        else:
            assert given[key] == value


def test_01_fraud_scoring_answers_what_its_page_says(foresail: Foresail, namespace: str) -> None:
    start(foresail, namespace, "01-fraud-scoring", "fraud-scoring")
    folder = examples.EXAMPLES / "01-fraud-scoring"
    answer = post(foresail, namespace, "fraud-scoring/infer", folder / "request.json")
    same(answer, examples.answer(folder / "README.md"), {"data": 1e-4})


def test_02_quality_assurance_answers_what_its_page_says(foresail: Foresail, namespace: str) -> None:
    foresail.store(namespace)
    start(foresail, namespace, "02-quality-assurance", "quality-assurance")
    answer = post(foresail, namespace, "quality-assurance/classify?top_k=1", PICTURES / "coffee.png")
    same(answer, examples.answer(examples.EXAMPLES / "02-quality-assurance" / "README.md"), {"confidence": 0.015})


def test_03_retail_shelf_answers_what_its_page_says(foresail: Foresail, namespace: str) -> None:
    foresail.store(namespace)
    start(foresail, namespace, "03-retail-shelf", "retail-shelf")
    answer = post(foresail, namespace, "retail-shelf/detect?confidence=0.35", PICTURES / "astronaut.png")
    page = examples.EXAMPLES / "03-retail-shelf" / "README.md"
    same(answer, examples.answer(page), {"confidence": 0.015, "box": 2})


def test_04_load_makes_the_autoscaler_add_replicas(foresail: Foresail, namespace: str) -> None:
    foresail.store(namespace)
    start(foresail, namespace, "04-autoscaling-cpu", "busy-shelf")
    foresail.apply(namespace, "examples/04-autoscaling-cpu/load.yaml")

    def ready() -> int:
        found = foresail.objects.get("deployment", namespace, "busy-shelf") or {}
        return int(found.get("status", {}).get("readyReplicas", 0))

    began = time.monotonic()
    eventually(ready, lambda replicas: replicas >= 2, STEP_SECONDS, "a second replica to be ready under load")
    assert time.monotonic() - began < STEP_SECONDS
    active = foresail.condition(namespace, "busy-shelf", "ScalingActive")
    assert (active["status"], active["reason"]) == ("True", "ValidMetricFound")
    foresail.cluster.kubectl("delete", "-n", namespace, "-f", str(examples.EXAMPLES / "04-autoscaling-cpu"))


def test_05_gpu_model_says_what_no_node_offers_and_goes_where_the_card_is(foresail: Foresail, namespace: str) -> None:
    cluster = foresail.cluster
    foresail.apply(namespace, "examples/05-gpu-node/gpu-shelf.yaml")

    def ready() -> dict[str, Any]:
        return foresail.condition(namespace, "gpu-shelf", "Ready")

    waiting = eventually(ready, lambda seen: seen.get("reason") == "Unschedulable", 60, "the scheduler's words")
    assert "nvidia.com/gpu" in waiting["message"] or "node affinity" in waiting["message"]
    node = installation.open_nodes(cluster)[0]["metadata"]["name"]
    cluster.pretend_gpus(node, 1, "NVIDIA-A100-SXM4-80GB", 81559)

    def places() -> list[str | None]:
        pods = foresail.objects.pods(namespace, "foresail.dev/model=gpu-shelf")
        return [pod["spec"].get("nodeName") for pod in pods]

    eventually(places, lambda seen: seen == [node], 60, "the pod to be placed on the node with the card")


def test_07_autoscaling_asks_for_every_replica_and_says_why(foresail: Foresail, namespace: str) -> None:
    foresail.store(namespace)
    start(foresail, namespace, "07-autoscaling", "lively-shelf")
    foresail.apply(namespace, "examples/07-autoscaling/load.yaml")
    said = eventually(
        lambda: foresail.model(namespace, "lively-shelf")["status"].get("scaling", {}),
        lambda found: found.get("desired") == 4,
        60,
        "four replicas to be wanted",
    )
    assert (said["signal"], said["mode"]) == ("concurrency", "custom")
    assert "requests in flight, 4 a replica wanted" in said["reason"]
    foresail.cluster.kubectl("delete", "-n", namespace, "-f", str(examples.EXAMPLES / "07-autoscaling"))


def test_08_scale_to_zero_sleeps_and_the_first_request_gets_the_answer_of_its_page(
    foresail: Foresail, namespace: str
) -> None:
    start(foresail, namespace, "08-scale-to-zero", "sleepy-fraud")
    eventually(
        lambda: foresail.condition(namespace, "sleepy-fraud", "Asleep").get("status"),
        lambda found: found == "True",
        90,
        "the model to sleep",
    )
    folder = examples.EXAMPLES / "08-scale-to-zero"
    answer = post(foresail, namespace, "sleepy-fraud/infer", folder / "request.json")
    same(answer, examples.answer(folder / "README.md"), {"data": 1e-4})
    cold = eventually(
        lambda: foresail.model(namespace, "sleepy-fraud")["status"].get("coldStart", {}), bool, 10, "the phases"
    )
    assert set(cold["phases"]) == {"schedule", "pull", "start", "fetch", "verify", "load", "warm", "ready"}
    foresail.cluster.kubectl("delete", "-n", namespace, "-f", str(folder / "sleepy-fraud.yaml"))
