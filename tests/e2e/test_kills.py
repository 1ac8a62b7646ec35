"""What is lost when processes are killed and nodes vanish: bounded, counted, and made good without a hand."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_runtime import contract
from foresail_testbed import cluster as testbed
from tests.e2e import load, models
from tests.installation import eventually

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

CLIENTS: Final = 8
"""Of `load.on`: each has one request under way, so a kill can't lose more of them at once."""
KILLS: Final = 3


def pods(foresail: Foresail, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = foresail.cluster.get(
        "pods", "-n", namespace, "-l", f"foresail.dev/model={models.NAME}"
    )["items"]
    return found


def restarts(foresail: Foresail, namespace: str) -> int:
    return sum(pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods(foresail, namespace))


def kill(pod: str) -> None:
    """Send SIGKILL to the runtime of a pod of this machine."""
    wanted = f"{contract.ENV_POD_NAME}={pod}".encode()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue


def test_a_killed_runtime_loses_what_was_under_way_and_no_more(foresail: Foresail, namespace: str) -> None:
    assert isinstance(foresail.cluster, testbed.Cluster), "the processes of the pods are this machine's"
    models.start(foresail, namespace, replicas=2)
    ready = foresail.cluster.kubectl
    ready("rollout", "status", "-n", namespace, f"deployment/{models.NAME}", "--timeout=60s")
    with load.on(foresail, namespace, models.NAME, CLIENTS) as seen:
        for number in range(KILLS):
            kill(pods(foresail, namespace)[number % 2]["metadata"]["name"])
            eventually(lambda: restarts(foresail, namespace), number.__lt__, 30, "the restart")
            ready("wait", "-n", namespace, "--for=condition=Ready", "pod", "-l", f"foresail.dev/model={models.NAME}",
                  "--timeout=60s")  # fmt: skip
    sys.stdout.write(f"{KILLS} kills: {seen.counts}\n")  # shown by -rP: docs/operations.md has such a count
    lost = sum(seen.failures.values())
    assert seen.counts["ok"] > 100
    assert lost > 0, "a kill that nobody notices hit nothing"
    refusals = [word for word in seen.failures if "HTTP" in word]
    assert refusals == [], "what is lost is lost with its connection; nothing is answered wrongly"
