"""The metrics of every program, and the pages that tell the person on call what to make of them."""

from __future__ import annotations

import pathlib
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import prometheus_client
import pytest
import yaml

from foresail_activator.limits import Held
from foresail_activator.metrics import Metrics as ActivatorMetrics
from foresail_operator.access import Access
from foresail_operator.api import kinds
from foresail_operator.app import Operator
from foresail_operator.metrics import ModelConditions
from foresail_operator.observe import Cache
from foresail_operator.settings import Settings
from foresail_runtime.exposition import Exposition
from foresail_runtime.metrics import Metrics as RuntimeMetrics
from tests.operator.conftest import make_raw

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/operations.md"
NAME = "app.kubernetes.io/name"


def snippets() -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [item for text in blocks for item in yaml.safe_load_all(text)]


def ports() -> dict[str, set[str]]:
    """Return the names of the ports of each kind of pod that there is, by its label."""
    files = [ROOT / "deploy/foresail.yaml", *(ROOT / "tests/operator/golden").glob("*/children.yaml")]
    made = [item for file in files for item in yaml.safe_load_all(file.read_text()) if item["kind"] == "Deployment"]
    pods = [item["spec"]["template"] for item in made]
    return {
        pod["metadata"]["labels"][NAME]: {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        for pod in pods
    }


@pytest.fixture
async def registry() -> CollectorRegistry:
    """Return the operator's, with all that its parts put into it."""
    async with aiohttp.ClientSession() as session:
        return Operator(Settings(), Access("http://127.0.0.1:1", None, None), session).metrics.registry


def measured(registry: CollectorRegistry) -> list[str]:
    found = registry.collect()
    return [f"{family.name}_total" if family.type == "counter" else family.name for family in found]


async def test_every_metric_stands_in_the_page_for_the_person_on_call(registry: CollectorRegistry) -> None:
    operator, activator = measured(registry), measured(ActivatorMetrics(Held()).registry)
    assert (len(operator), len(activator)) > (15, 5)
    assert [name for name in operator if f"`{name}`" not in PAGE.read_text()] == []
    page = (ROOT / "docs/activator.md").read_text()
    assert [name for name in activator if not re.search(rf"`{name}[`{{]", page)] == []


@pytest.mark.parametrize("leads", [True, False])
def test_leader_says_of_each_model_whether_its_conditions_hold_and_why(leads: bool) -> None:
    cache, registry = Cache(), prometheus_client.CollectorRegistry()
    said = [
        ("Ready", "False", "Unschedulable"),
        ("Stalled", "True", "ModelNotFound"),
        ("Progressing", "True", "Complete"),
    ]
    conditions = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in said]
    cache.note(kinds.MODEL_DEPLOYMENT, make_raw() | {"status": {"conditions": conditions}})
    registry.register(ModelConditions(cache.conditions, lambda: leads))
    text = prometheus_client.generate_latest(registry).decode()
    told = re.findall(
        r'^\w+{condition="(\w+)",model="(\w+)",namespace="(\w+)",reason="(\w+)"} (\S+)$', text, re.MULTILINE
    )
    expected = [
        ("Ready", "fraud", "team", "Unschedulable", "0.0"),
        ("Stalled", "fraud", "team", "ModelNotFound", "1.0"),
    ]
    assert told == (expected if leads else [])


def test_a_model_that_nobody_has_looked_at_has_no_conditions() -> None:
    cache = Cache()
    cache.note(kinds.MODEL_DEPLOYMENT, make_raw())
    assert list(cache.conditions()) == []


def test_pod_monitors_of_the_page_find_every_pod_by_a_port_that_it_has() -> None:
    found: dict[str, str] = {}
    for monitor in (item for item in snippets() if item.get("kind") == "PodMonitor"):
        selector = monitor["spec"]["selector"]
        names = [one for part in selector.get("matchExpressions", ()) for one in part["values"]]
        names += [selector["matchLabels"][NAME]] if "matchLabels" in selector else []
        found |= dict.fromkeys(names, monitor["spec"]["podMetricsEndpoints"][0]["port"])
        if (
            "foresail-operator" in names
        ):  # whose metrics have a namespace, the model's: else Prometheus puts the pod's there
            assert monitor["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True
    known = ports()
    assert set(found) == set(known)
    assert {name: port for name, port in found.items() if port not in known[name]} == {}


async def test_alerts_of_the_page_speak_of_metrics_that_there_are(registry: CollectorRegistry) -> None:
    (rules,) = (item["groups"][0]["rules"] for item in snippets() if "groups" in item)
    registries = (registry, ActivatorMetrics(Held()).registry)
    text = b"".join(map(prometheus_client.generate_latest, registries)) + Exposition(RuntimeMetrics()).render()
    known = set(re.findall(r"^# TYPE (\w+)", text.decode(), re.MULTILINE))
    named = {name for rule in rules for name in re.findall(r"foresail_\w+", rule["expr"])}
    assert len(named) > 4
    assert named <= known
