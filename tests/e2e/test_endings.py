"""A model that ends its process, or hangs in a run, is named by its pod and by the condition, and served again."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_runtime import contract
from foresail_testbed import cluster as testbed
from tests.e2e import models
from tests.e2e.test_kills import processes
from tests.installation import eventually
from tests.runtime.test_lifecycle import endless

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

SECONDS: Final = 10.0
"""Until the pod says why, from the moment the process ended or the hang had lasted its time."""
HANG_SECONDS: Final = 30.0
NAME: Final = "endless"
AT_REST: Final = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "300m"}}
"""A run that hangs keeps a core busy; others' tests want it as well."""


@pytest.fixture
def pod(foresail: Foresail, namespace: str, tmp_path: pathlib.Path) -> str:
    """Start a model whose run ends only for a small number, and return its pod."""
    file = endless(tmp_path)
    foresail.cluster.kubectl("create", "configmap", NAME, "-n", namespace, f"--from-file={file}")
    manifest = models.deployment(model={"uri": f"configmap://{NAME}/{file.name}"}, replicas=1, resources=AT_REST)
    foresail.apply_text(namespace, manifest | {"metadata": {"name": NAME}})
    foresail.wait_ready(namespace, NAME)
    name: str = only(foresail, namespace)["metadata"]["name"]
    return name


def only(foresail: Foresail, namespace: str) -> dict[str, Any]:
    """Return the model's one pod."""
    (found,) = foresail.objects.pods(namespace, f"foresail.dev/model={NAME}")
    return found


def last_words(foresail: Foresail, namespace: str, restarts: int) -> contract.Termination | None:
    """Return what the process before that restart left in the pod's status."""
    (container,) = only(foresail, namespace)["status"]["containerStatuses"]
    ended = (container["lastState"] if container["restartCount"] >= restarts else {}).get("terminated")
    ended = ended or (container["state"].get("terminated") if container["restartCount"] + 1 == restarts else None)
    return contract.Termination.decode(ended.get("message", "")) if ended else None


def ended(foresail: Foresail, namespace: str, restarts: int, seconds: float) -> contract.Termination:
    """Return the last words once they are in the pod's status."""
    found = eventually(
        lambda: last_words(foresail, namespace, restarts), lambda one: one is not None, seconds, "the pod to say why"
    )
    assert found is not None
    return found


def ask(foresail: Foresail, namespace: str, number: int) -> int:
    """Let the model count up to a number, and return what it says."""
    tensor = {"name": "x", "shape": [], "datatype": "INT64", "data": [number]}
    with foresail.cluster.reach(namespace, NAME, 80) as url:
        body = json.dumps({"inputs": [tensor]}).encode()
        with urllib.request.urlopen(f"{url}/v2/models/{NAME}/infer", body, HANG_SECONDS + SECONDS) as answer:
            said: int = json.loads(answer.read())["outputs"][0]["data"][0]
            return said


def crash(pod: str) -> None:
    """Wipe the stack of a pod's runtime, which ends by SIGSEGV when it returns; one that is sent, an init ignores."""
    for process in processes(pod):
        folder = pathlib.Path(f"/proc/{process}")
        (line,) = (one for one in (folder / "maps").read_text().splitlines() if one.endswith("[stack]"))
        first, last = (int(one, 16) for one in line.split()[0].split("-"))
        with (folder / "mem").open("r+b", buffering=0) as memory:
            memory.seek(first)
            memory.write(bytes(last - first))


def test_a_crash_and_a_hang_are_named_by_the_pod_and_it_serves_again(
    foresail: Foresail, namespace: str, pod: str
) -> None:
    if not isinstance(foresail.cluster, testbed.Cluster):
        pytest.skip("the runtime is crashed from outside: needs a cluster of the testbed's")
    crash(pod)
    left = ended(foresail, namespace, 1, SECONDS)
    assert (left.reason, left.model) == ("ModelCrashed", NAME)
    foresail.wait_ready(namespace, NAME)

    begun = time.monotonic()
    with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
        ask(foresail, namespace, 2**62)
    left = ended(foresail, namespace, 2, begun + HANG_SECONDS + SECONDS - time.monotonic())
    assert (left.reason, left.model) == ("ModelHung", NAME)
    foresail.wait_ready(namespace, NAME)
    assert ask(foresail, namespace, 5) == 6
