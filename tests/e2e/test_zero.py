"""Models that sleep at zero, and the activator in place of replicas that are away, behind a real kube-proxy."""

from __future__ import annotations

import concurrent.futures
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import recorder
from tests.e2e import load, models
from tests.installation import NAMESPACE, ROOT, eventually

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e
EXAMPLE = ROOT / "examples" / "01-fraud-scoring"
NAME = "fraud-scoring"
ASK = f"""
import json, sys, urllib.error, urllib.request as web
question = web.Request("http://{NAME}/v2/models/{NAME}/infer", sys.stdin.buffer.read())
question.add_header("Content-Type", "application/json")
try:
    with web.urlopen(question, timeout=100) as answer:
        json.loads(answer.read())
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
ASK_AT_ONCE = f"""
import concurrent.futures, sys, urllib.request as web
body = sys.stdin.buffer.read()
def ask(number):
    place = PLACES[number % len(PLACES)]
    question = web.Request(f"http://{{place}}/v2/models/{NAME}/infer", body)
    question.add_header("Content-Type", "application/json")
    try:
        with web.urlopen(question, timeout=100) as answer:
            return str(answer.status)
    except OSError:
        return "lost"
with concurrent.futures.ThreadPoolExecutor(ASKED) as threads:
    print(*threads.map(ask, range(ASKED)))
"""
ASK_ON = f"""
import re, sys, time, urllib.request as web
body = sys.stdin.buffer.read()
def ask():
    question = web.Request("http://{NAME}/v2/models/{NAME}/infer", body)
    question.add_header("Content-Type", "application/json")
    with web.urlopen(question, timeout=100) as answer:
        return answer.read()
def forwarded():
    total = 0
    for holder in HOLDERS:
        with web.urlopen(f"http://{{holder}}:8080/metrics", timeout=5) as answer:
            found = re.search(r'outcome="forwarded"}} (\\S+)', answer.read().decode())
        total += int(float(found[1])) if found else 0
    return total
ask()
ways, end = [], time.monotonic() + 5
while ways[-20:] != ["direct"] * 20 and time.monotonic() < end:
    before = forwarded()
    ask()
    ways.append("held" if forwarded() > before else "direct")
print(*ways)
"""
METRICS = "import urllib.request as web; print(web.urlopen('http://127.0.0.1:8080/metrics', timeout=5).read().decode())"
ASKED = 16
WAKES = 3
"""Enough to see that none is lost here; bench/scaling does it fifty times."""


def apply(foresail: Foresail, namespace: str, **spec: Any) -> None:
    for manifest in yaml.safe_load_all((EXAMPLE / "fraud-scoring.yaml").read_text()):
        if manifest["kind"] == "ModelDeployment":
            del manifest["spec"]["replicas"]
            manifest["spec"] |= spec
        foresail.apply_text(namespace, manifest)


@pytest.fixture
def client(foresail: Foresail, namespace: str) -> str:
    """A pod to ask from: a sleeping model is woken through its Service, where there is no pod to forward a port to."""
    container = {"name": "client", "image": "localhost/foresail-runtime:0.1.0", "command": ["sleep", "600"]}
    spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    foresail.apply_text(namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec})
    foresail.cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/client", "--timeout=60s")
    return "client"


def ask(foresail: Foresail, namespace: str, client: str) -> int:
    """Send one request on a connection of its own; return its status."""
    words = ("exec", "-i", "-n", namespace, client, "--", "/opt/foresail/bin/python", "-c", ASK)
    return int(foresail.cluster.kubectl(*words, stdin=(EXAMPLE / "request.json").read_text(), seconds=120))


def ask_on(foresail: Foresail, namespace: str, client: str) -> list[str]:
    """Wake the model, then ask on new connections until many reach the replica; return which way each of these went."""
    program = f"HOLDERS = {holders(foresail, 'status.podIP')}\n{ASK_ON}"
    words = ("exec", "-i", "-n", namespace, client, "--", "/opt/foresail/bin/python", "-c", program)
    return foresail.cluster.kubectl(*words, stdin=(EXAMPLE / "request.json").read_text(), seconds=120).split()


def holders(foresail: Foresail, field: str = "metadata.name") -> list[str]:
    """Return the activator's pods, by name or another field."""
    words = ("-l", "app.kubernetes.io/name=foresail-activator", "-o", f"jsonpath={{.items[*].{field}}}")
    return foresail.cluster.kubectl("get", "pods", "-n", NAMESPACE, *words).split()


def wait_asleep(foresail: Foresail, namespace: str) -> None:
    """Wait until the model sleeps."""
    eventually(
        lambda: foresail.condition(namespace, NAME, "Asleep").get("status"), lambda found: found == "True", 60, "sleep"
    )


def wait_gone(foresail: Foresail, namespace: str) -> None:
    """Wait until a model that sleeps has no replica: while the last one ends it still answers."""
    of_model = ("pods", "-n", namespace, "-l", f"foresail.dev/model={NAME}")
    foresail.cluster.kubectl("wait", *of_model, "--for=delete", "--timeout=120s")


def ready_endpoint(foresail: Foresail, namespace: str) -> str:
    """Return the address at which an Ingress controller finds the activator in place of a sleeping model."""
    slice_ = foresail.cluster.get("endpointslice", f"{NAME}-activator-ready", "-n", namespace)
    (port,) = (one["port"] for one in slice_["ports"] if one["name"] == "http")
    (endpoint,) = slice_["endpoints"]
    return f"{endpoint['addresses'][0]}:{port}"


def held(foresail: Foresail, pod: str) -> int:
    """Return how many requests an activator's pod holds."""
    words = ("exec", "-n", NAMESPACE, pod, "--", "/opt/foresail/bin/python", "-c", METRICS)
    found = re.search(r"^foresail_activator_held_requests (\S+)$", foresail.cluster.kubectl(*words), re.MULTILINE)
    assert found
    return int(float(found[1]))


def desired(foresail: Foresail, namespace: str) -> int | None:
    """Return the size that status says the load asks for."""
    scaling = foresail.model(namespace, NAME)["status"].get("scaling") or {}
    return scaling.get("desired")


def test_an_idle_model_sleeps_and_its_first_request_wakes_it(foresail: Foresail, namespace: str, client: str) -> None:
    apply(foresail, namespace, scaling={"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 5})
    foresail.wait_ready(namespace, NAME)
    for _ in range(WAKES):
        wait_asleep(foresail, namespace)
        assert foresail.condition(namespace, NAME, "Ready")["reason"] == "Asleep"
        recorder.keep(foresail.model(namespace, NAME))
        assert foresail.condition(namespace, NAME, "ScalingActive")["reason"] == "ScalingDisabled"
        eventually(
            lambda: desired(foresail, namespace), lambda found: found == 0, 10, "status to say that none is wanted"
        )
        wait_gone(foresail, namespace)
        ways = ask_on(foresail, namespace, client)
        assert "direct" in ways
        assert "held" not in ways[ways.index("direct") :], "the activator goes as the replica comes"
    wait_asleep(foresail, namespace)
    assert ask(foresail, namespace, client) == 200, "while the last replica ends"
    of_model = ("--field-selector", f"involvedObject.kind=ModelDeployment,involvedObject.name={NAME}")
    events = foresail.cluster.kubectl("get", "events", "-n", namespace, *of_model, "-o", "jsonpath={.items[*].reason}")
    assert {"ScalingDown", "ScalingUp", "Asleep"} <= set(events.split())  # one is awake too shortly to be looked at


def test_an_activator_is_killed_and_the_other_ones_requests_are_answered_by_an_operator_that_was_away(
    foresail: Foresail, namespace: str, client: str
) -> None:
    kubectl = foresail.cluster.kubectl
    apply(foresail, namespace, scaling={"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 5})
    foresail.wait_ready(namespace, NAME)
    wait_asleep(foresail, namespace)
    wait_gone(foresail, namespace)
    kubectl("scale", "-n", NAMESPACE, "deployment/foresail", "--replicas=0")
    kubectl(
        "wait",
        "-n",
        NAMESPACE,
        "pods",
        "-l",
        "app.kubernetes.io/name=foresail-operator",
        "--for=delete",
        "--timeout=60s",
    )
    places = [NAME, ready_endpoint(foresail, namespace)]  # where kube-proxy leads, and who goes to ready endpoints
    program = f"ASKED, PLACES = {ASKED}, {places}\n{ASK_AT_ONCE}"
    words = ("exec", "-i", "-n", namespace, client, "--", "/opt/foresail/bin/python", "-c", program)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        asked = thread.submit(kubectl, *words, stdin=(EXAMPLE / "request.json").read_text(), seconds=120)
        try:
            counts = eventually(
                lambda: {pod: held(foresail, pod) for pod in holders(foresail)},
                lambda found: sum(found.values()) == ASKED,
                30,
                "all to be held",
            )
            assert list(counts.values()) == [ASKED // 2] * 2
            victim = next(iter(counts))
            kubectl("delete", "pod", "-n", NAMESPACE, victim, "--grace-period=0", "--force")
        finally:
            kubectl("scale", "-n", NAMESPACE, "deployment/foresail", "--replicas=1")
        answers = asked.result(150).split()
    assert sorted(answers) == ["200"] * (ASKED - counts[victim]) + ["lost"] * counts[victim]
    assert ask(foresail, namespace, client) == 200


def test_the_only_replica_is_deleted_under_load_and_no_request_fails(foresail: Foresail, namespace: str) -> None:
    models.start(foresail, namespace, replicas=1)
    with load.on(foresail, namespace, models.NAME) as seen:
        selector = f"foresail.dev/model={models.NAME}"
        foresail.cluster.kubectl("delete", "pod", "-n", namespace, "-l", selector, "--wait=true", "--timeout=60s")
        deployment = f"deployment/{models.NAME}"
        foresail.cluster.kubectl("rollout", "status", "-n", namespace, deployment, "--timeout=60s", seconds=70)
    assert seen.failures == {}
    assert seen.counts["ok"] > 0
