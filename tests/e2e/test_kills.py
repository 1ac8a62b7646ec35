"""What is lost when processes are killed and nodes vanish: bounded, counted, and made good without a hand."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_runtime import contract
from foresail_testbed import cluster as testbed
from tests.e2e import load, models
from tests.e2e.test_lossless import nodes, spare_node
from tests.installation import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

CLIENTS: Final = 8
"""Of `load.on`: each has one request under way, so a kill can't lose more of them at once."""
KILLS: Final = 3


@pytest.fixture
def machine(foresail: Foresail) -> testbed.Cluster:
    """Return the cluster if its nodes are ours to harm; elsewhere what harms them is left out, and says so."""
    if not isinstance(foresail.cluster, testbed.Cluster):
        pytest.skip("runtimes and kubelets are killed from outside: needs a cluster of the testbed's")
    return foresail.cluster


def pods(foresail: Foresail, namespace: str) -> list[dict[str, Any]]:
    return foresail.objects.pods(namespace, f"foresail.dev/model={models.NAME}")


def restarts(foresail: Foresail, namespace: str) -> int:
    return sum(pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods(foresail, namespace))


def processes(pod: str) -> Iterator[int]:
    """Yield the processes of a pod's runtime on this machine."""
    wanted = f"{contract.ENV_POD_NAME}={pod}".encode()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def kill(pod: str) -> None:
    """Send SIGKILL to the runtime of a pod of this machine."""
    for process in processes(pod):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


@pytest.mark.usefixtures("machine")
def test_the_only_replica_is_killed_and_who_asks_while_it_starts_waits(foresail: Foresail, namespace: str) -> None:
    """What is under way is lost, and what goes to the pod's address until the node has seen that it is gone."""
    models.start(foresail, namespace, replicas=1)
    with load.on(foresail, namespace, models.NAME, CLIENTS) as seen:
        kill(pods(foresail, namespace)[0]["metadata"]["name"])
        eventually(lambda: restarts(foresail, namespace), lambda n: n == 1, 30, "the restart")
        kubectl, selector = foresail.cluster.kubectl, f"foresail.dev/model={models.NAME}"
        kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "-l", selector, "--timeout=60s")
    report("the only replica killed", seen)
    assert CLIENTS <= sum(seen.failures.values()) < CLIENTS * 200, "two seconds', of several that the start takes"
    assert [word for word in seen.failures if "HTTP" in word] == []


@pytest.mark.usefixtures("machine")
def test_killed_runtimes_lose_requests_for_moments_and_come_back_by_themselves(
    foresail: Foresail, namespace: str
) -> None:
    """What is under way is lost, and what still goes to the pod's address until every node has forgotten it."""
    models.start(foresail, namespace, replicas=2)
    kubectl, selector = foresail.cluster.kubectl, f"foresail.dev/model={models.NAME}"
    kubectl("rollout", "status", "-n", namespace, f"deployment/{models.NAME}", "--timeout=60s")
    with load.on(foresail, namespace, models.NAME, CLIENTS) as seen:
        for number in range(KILLS):
            kill(pods(foresail, namespace)[number % 2]["metadata"]["name"])
            eventually(lambda: restarts(foresail, namespace), number.__lt__, 30, "the restart")
            kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "-l", selector, "--timeout=60s")
    report(f"{KILLS} kills -9", seen)
    assert 0 < sum(seen.failures.values()) < seen.counts["ok"] / 4
    assert [word for word in seen.failures if "HTTP" in word and "HTTP 503" not in word] == []


def test_a_node_whose_kubelet_is_gone_goes_on_serving_and_is_told_by_the_numbers(
    foresail: Foresail, machine: testbed.Cluster, namespace: str
) -> None:
    node = spare_node(machine)
    models.start(foresail, namespace, replicas=2)
    eventually(lambda: nodes(foresail, namespace), lambda found: node in found, 60, f"a replica on {node}")
    machine.kubectl("rollout", "status", "-n", namespace, f"deployment/{models.NAME}", "--timeout=60s")
    with load.on(foresail, namespace, models.NAME, CLIENTS) as seen:
        machine.stop_component(f"kubelet.{node}", kill=True)
        try:
            eventually(lambda: ready_replicas(foresail, namespace), lambda n: n == 1, 90, "one replica to be missed")
            assert foresail.condition(namespace, models.NAME, "Ready")["status"] == "True"
        finally:
            machine.start_component(f"kubelet.{node}")
        eventually(lambda: ready_replicas(foresail, namespace), lambda n: n == 2, 60, "both replicas again")
    report("a kubelet gone", seen)
    assert seen.failures == {}


def ready_replicas(foresail: Foresail, namespace: str) -> int:
    return int(foresail.model(namespace, models.NAME)["status"].get("readyReplicas", 0))


def report(what: str, seen: load.Seen) -> None:
    """Print what was seen; `-rP` shows it, and docs/operations.md has it of one run."""
    sys.stdout.write(f"{what}: {seen.counts}\n")
