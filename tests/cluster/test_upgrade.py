"""An operator is replaced by a newer one, and the definition by a newer one: models go on as they are."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.cluster.kit import ROOT, Models, Operators, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foresail_testbed.access import Access

pytestmark = pytest.mark.cluster

DEFINITION: Final = ROOT / "crds" / "foresail.dev_modeldeployments.yaml"
COUNT: Final = 20
SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"replicas": 2},
    {"scaling": {"minReplicas": 1, "maxReplicas": 3, "metrics": [{"type": "cpu", "target": 60}]}},
    {"serving": {"batching": {"maxSize": 8}, "maxQueueSize": 7}, "resources": {"limits": {"cpu": "2"}}},
    {"pod": {"labels": {"team": "risk"}, "env": [{"name": "A", "value": "1"}]}},
)


@pytest.fixture
def newer_definition(plane: Access) -> Iterator[str]:
    """Yield a definition with an optional field that today's lacks; today's is back when the test ends."""
    today = yaml.safe_load(DEFINITION.read_text())
    newer = copy.deepcopy(today)
    spec = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["tomorrow"] = {"type": "string", "default": "as today"}
    yield json.dumps(newer)
    plane.kubectl("replace", "-f", str(DEFINITION))


def listed(models: Models, kind: str) -> dict[str, dict[str, Any]]:
    items = json.loads(models.kubectl("get", kind, "-l", "foresail.dev/model", "-o", "json"))["items"]
    return {one["metadata"]["name"]: one for one in items}


def running(models: Models) -> dict[str, Any]:
    """Return what an upgrade must not touch: each pod, and each Deployment's template."""
    pods = {name: one["metadata"]["uid"] for name, one in listed(models, "pods").items()}
    return pods | {name: one["spec"]["template"] for name, one in listed(models, "deployments").items()}


def test_twenty_models_run_on_untouched_by_a_newer_operator_runtime_and_definition(
    operators: Operators, models: Models, plane: Access, newer_definition: str
) -> None:
    first = operators.start(FORESAIL_RUNTIME_IMAGE="registry.example/foresail-runtime:1").wait_until_leading()
    names = [f"m{number}" for number in range(COUNT)]
    for number, name in enumerate(names):
        models.apply(name, **SHAPES[number % len(SHAPES)])
    for name in names:
        models.wait_ready(name)
    models.wait_settled(first, names[-1])
    before = running(models)
    assert len(before) >= 2 * COUNT
    first.stop()
    plane.kubectl("replace", "-f", "-", stdin=newer_definition)
    field = "{.spec.tomorrow}"
    eventually(lambda: models.kubectl("get", "mdep/m0", f"-o=jsonpath={field}") == "as today", "it is served")
    second = operators.start(FORESAIL_RUNTIME_IMAGE="registry.example/foresail-runtime:2").wait_until_leading()
    eventually(lambda: second.looks() >= COUNT, "it has looked at all of them")
    models.kubectl("patch", "mdep/m1", "--type=merge", "-p", '{"spec":{"tomorrow":"another"}}')
    eventually(lambda: status_is_of_generation(models, "m1"), "what it does not know is no change")
    for name in (names[1], names[-1]):
        models.wait_settled(second, name)
    assert running(models) == before
    models.kubectl("patch", "mdep/m0", "--type=merge", "-p", '{"spec":{"runtime":{"version":"2"}}}')
    eventually(lambda: image(models, "m0") == "registry.example/foresail-runtime:2", "the one that asks is rolled")
    models.wait_settled(second, "m0")
    after = running(models)
    assert {name for name in before if after.get(name) != before[name]} == {
        name for name in before if name == "m0" or name.startswith("m0-")
    }


def status_is_of_generation(models: Models, name: str) -> bool:
    model = models.get("mdep", name) or {}
    return bool(model["status"]["observedGeneration"] == model["metadata"]["generation"])


def image(models: Models, name: str) -> str:
    (container,) = (models.get("deployment", name) or {})["spec"]["template"]["spec"]["containers"]
    found: str = container["image"]
    return found
