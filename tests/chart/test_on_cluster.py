"""The chart on a cluster where pods run: what happens to models when the operator is upgraded or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests import installation
from tests.installation import NAMESPACE, RELEASE, ROOT, eventually, helm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.installation import Foresail

pytestmark = pytest.mark.e2e
CHART = str(ROOT / "charts" / "foresail")
EXAMPLE = "examples/01-fraud-scoring/fraud-scoring.yaml"
MODEL = "fraud-scoring"


@pytest.fixture
def model(foresail: Foresail, namespace: str) -> Iterator[str]:
    """A model that serves, in the test's namespace; the operator is as it was when the test ends."""
    foresail.apply(namespace, EXAMPLE)
    foresail.wait_ready(namespace, MODEL)
    yield namespace
    words = ("upgrade", RELEASE, CHART, "--install", "--reset-values", "--wait", "--timeout=120s")
    helm(foresail.cluster, *words)


def pods(foresail: Foresail, namespace: str) -> list[tuple[str, int]]:
    """Return the model's pods and how often each was restarted."""
    found: list[dict[str, Any]] = foresail.cluster.get("pods", "-n", namespace, "-l", "foresail.dev/model")["items"]
    return [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found]


def answers(foresail: Foresail, namespace: str) -> bool:
    """Ask the model's pod through the API server's proxy, the way that needs no way to the network of the pods."""
    path = f"/api/v1/namespaces/{namespace}/services/{MODEL}:http/proxy/v2/models/{MODEL}/ready"
    return foresail.cluster.execute(["kubectl", "get", "--raw", path]).returncode == 0


def test_upgrade_to_two_operators_restarts_no_model_and_one_leads(foresail: Foresail, model: str) -> None:
    before = pods(foresail, model)
    helm(foresail.cluster, "upgrade", RELEASE, CHART, "--set", "replicas=2", "--wait", "--timeout=120s")
    names = [item["metadata"]["name"] for item in foresail.cluster.get("pods", "-n", NAMESPACE)["items"]]

    def leader() -> str:
        lease = foresail.cluster.get("lease", "foresail-operator", "-n", NAMESPACE)
        return str(lease["spec"].get("holderIdentity", ""))

    eventually(leader, lambda holder: holder in names, 30, f"one of {names} to lead")
    assert pods(foresail, model) == before


def test_models_serve_and_namespaces_go_after_the_uninstall(foresail: Foresail, model: str) -> None:
    before = pods(foresail, model)
    helm(foresail.cluster, "uninstall", RELEASE, "--wait")
    cluster = foresail.cluster
    cluster.kubectl("create", "namespace", f"{model}-gone")
    foresail.apply(f"{model}-gone", EXAMPLE)
    cluster.kubectl("delete", "namespace", f"{model}-gone", "--timeout=60s")
    assert answers(foresail, model)
    assert pods(foresail, model) == before
    cluster.kubectl("delete", "-n", model, "-f", str(ROOT / EXAMPLE), "--timeout=60s")
    eventually(lambda: pods_left(foresail, model), lambda left: left == "", 120, "the model's pods to go")


def pods_left(foresail: Foresail, namespace: str) -> str:
    return foresail.cluster.kubectl("get", "pods", "-n", namespace, "-l", "foresail.dev/model", "-o", "name")


def test_release_is_the_charts_present_version(foresail: Foresail) -> None:
    listed = helm(foresail.cluster, "list", "--output=yaml")
    assert f"chart: foresail-{version()}" in listed
    assert "status: deployed" in listed


def version() -> str:
    text = (installation.ROOT / "charts" / "foresail" / "Chart.yaml").read_text()
    return next(line.split(": ")[1] for line in text.splitlines() if line.startswith("version:"))
