"""The operator's metrics and the page that tells the person on call what to make of them."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import prometheus_client
import yaml

from foresail_activator.limits import Held
from foresail_activator.metrics import Metrics as ActivatorMetrics
from foresail_operator.metrics import Metrics
from foresail_runtime.metrics import Metrics as RuntimeMetrics

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


def test_every_metric_stands_in_the_page_for_the_person_on_call() -> None:
    page = PAGE.read_text()
    names = [
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
    ]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in page] == []


def test_pod_monitors_of_the_page_find_every_pod_by_a_port_that_it_has() -> None:
    found: dict[str, str] = {}
    for monitor in (item for item in snippets() if item.get("kind") == "PodMonitor"):
        selector = monitor["spec"]["selector"]
        names = [one for part in selector.get("matchExpressions", ()) for one in part["values"]]
        names += [selector["matchLabels"][NAME]] if "matchLabels" in selector else []
        found |= dict.fromkeys(names, monitor["spec"]["podMetricsEndpoints"][0]["port"])
    known = ports()
    assert set(found) == set(known)
    assert {name: port for name, port in found.items() if port not in known[name]} == {}


def test_alerts_of_the_page_speak_of_metrics_that_there_are() -> None:
    (rules,) = (item["groups"][0]["rules"] for item in snippets() if "groups" in item)
    registries = (Metrics().registry, ActivatorMetrics(Held()).registry)
    text = b"".join(map(prometheus_client.generate_latest, registries)) + RuntimeMetrics().render()
    known = set(re.findall(r"^# TYPE (\w+)", text.decode(), re.MULTILINE))
    named = {name for rule in rules for name in re.findall(r"foresail_\w+", rule["expr"])}
    assert len(named) > 4
    assert named <= known
