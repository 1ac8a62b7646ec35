"""Operators as processes on a real API server, and ModelDeployments as a user handles them."""

from __future__ import annotations

import itertools
import json
import pathlib
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest

from foresail_testbed import errors
from tests import objects
from tests.cluster import forked

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_testbed.access import Access

ROOT = pathlib.Path(__file__).parents[2]
DEFINITION = "modeldeployments.foresail.dev"
SECONDS = 60.0
SOON_SECONDS = 20.0
"""At once, where the machine has other things to do as well: what finds things unseen comes by minutes later."""
PORTS = itertools.count(18100)
ADDRESSES = ("10.99.0.7", "10.99.0.8")
"""Of an activator's pods, as kube-proxy would be told."""
ACTIVATOR = {"FORESAIL_ACTIVATOR_SERVICE": "foresail-activator"}
"""Tells an operator of it."""


def eventually(holds: Callable[[], Any], what: str, seconds: float = SECONDS, pause: float = 0.05) -> Any:
    """Wait until something holds, and return it; the bound is what a slow machine needs."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
    return found


class Operator:
    """One running operator process, and what it says of itself."""

    def __init__(self, plane: Access, folder: pathlib.Path, port: int, **environment: str) -> None:
        self.port = port
        self.environment = environment
        self.log = folder / f"operator-{port}.log"
        own = {
            "FORESAIL_HTTP_HOST": "127.0.0.1",
            "FORESAIL_HTTP_PORT": str(port),
            "FORESAIL_RUNTIME_IMAGE": "foresail-runtime:test",
        }
        self._process = forked.Operator(plane.environment() | own | environment, self.log)

    def get(self, path: str) -> str:
        """Return what the operator answers; the empty string while it does not."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                text: str = answer.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return ""
        return text

    def samples(self, name: str) -> dict[str, float]:
        """Return the samples of a metric by their labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def writes(self) -> int:
        """Return how many writes it has sent, those of the Lease left out."""
        sent = self.samples("foresail_operator_requests_total{")
        return int(sum(n for label, n in sent.items() if 'method="GET"' not in label and 'kind="Lease"' not in label))

    def reads(self) -> int:
        """Return how many reads it has sent, those of the Lease left out."""
        sent = self.samples("foresail_operator_requests_total{")
        return int(sum(n for label, n in sent.items() if 'method="GET"' in label and 'kind="Lease"' not in label))

    def sent(self) -> int:
        """Return how many requests it has sent, those of the Lease left out."""
        return self.writes() + self.reads()

    def looks(self) -> float:
        """Return how often it has looked at a key."""
        return sum(self.samples("foresail_operator_looks_total{").values())

    def leads(self) -> bool:
        """Tell whether it leads."""
        return self.samples("foresail_operator_leading ").get("foresail_operator_leading") == 1

    def wait_until_leading(self) -> Operator:
        """Wait until it leads."""
        eventually(self.leads, f"operator leads; its log: {self.log}")
        return self

    @property
    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process.returncode is not None

    def stop(self) -> None:
        """End it as the kubelet does."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.signal(number)


class Operators:
    """Starts operators that look at one namespace only and hold their Lease there."""

    def __init__(self, plane: Access, folder: pathlib.Path, namespace: str) -> None:
        self._plane = plane
        self._folder = folder
        self._scope = {"FORESAIL_NAMESPACES": namespace, "FORESAIL_POD_NAMESPACE": namespace}
        self._running: list[Operator] = []

    def start(self, **environment: str) -> Operator:
        """Start one more operator."""
        operator = Operator(self._plane, self._folder, next(PORTS), **(self._scope | environment))
        self._running.append(operator)
        return operator

    def stop_all(self) -> None:
        """End all of them."""
        for operator in self._running:
            operator.stop()


class Lasting:
    """One operator for all namespaces, as the chart installs it: it lasts from one test that uses it to the next."""

    def __init__(self, plane: Access, folder: pathlib.Path) -> None:
        self._plane = plane
        self._folder = folder
        self._running: Operator | None = None

    def leading(self) -> Operator:
        """Return it, started if it does not run; where it has ended by itself, this test fails, and no other."""
        found, self._running = self._running or Operator(self._plane, self._folder, next(PORTS)), None
        if found.ended:
            pytest.fail(f"the operator ended by itself; its log: {found.log}")
        self._running = found
        return found.wait_until_leading()

    def stop(self) -> None:
        """End it, for a test whose operators are its own."""
        if self._running is not None:
            self._running.stop()
            self._running = None


_POD: Final = {"metadata": {"labels": {"one": "more"}}, "spec": {"containers": [{"name": "one", "image": "more"}]}}
_OWNER: Final = {
    "apiVersion": "apps/v1",
    "metadata": {"name": "one-more"},
    "spec": {"selector": {"matchLabels": {"one": "more"}}, "template": _POD},
}
_ONE_MORE: Final[dict[str, dict[str, Any]]] = {
    "pods": {**_POD, "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one-more"}},
    "replicasets": {**_OWNER, "kind": "ReplicaSet"},
    "deployments": {**_OWNER, "kind": "Deployment"},
}
"""An object of each resource, for a quota to refuse."""


class Models:
    """ModelDeployments of the test's namespace."""

    def __init__(self, plane: Access, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self.objects = objects.Objects(plane)

    def manifest(self, name: str = "fraud", **spec: Any) -> dict[str, Any]:
        """Return one as a user writes it."""
        return {
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"model": {"uri": "https://models.example.com/fraud.onnx"}} | spec,
        }

    def apply(self, name: str = "fraud", **spec: Any) -> None:
        """Apply one; fields that an apply before had and this one lacks go."""
        self.objects.apply(self.manifest(name, **spec))

    def apply_by_kubectl(self, name: str = "fraud", **spec: Any) -> None:
        """Apply one as a user does, by `kubectl apply`; raises TestbedError with its words where it is refused."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(self.manifest(name, **spec)))

    def clear(self) -> None:
        """Delete all of them, before their namespace: while that ends, an operator makes anew what it deletes first."""
        self.objects.delete_all("mdep", self.namespace)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.plane.kubectl("-n", self.namespace, *words, stdin=stdin)

    def forbid(self, resource: str) -> None:
        """Have a quota named `none` refuse all of `pods`, `replicasets` or `deployments`.

        The API server holds to a quota a moment after it has taken it: so one more is tried until it is refused.
        """
        group = "" if resource == "pods" else ".apps"
        self.kubectl("create", "quota", "none", f"--hard=count/{resource}{group}=0")
        eventually(lambda: self._is_refused(_ONE_MORE[resource]), f"the quota refuses {resource}", pause=0.2)

    def _is_refused(self, manifest: dict[str, Any]) -> bool:
        try:
            self.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
        except errors.TestbedError as error:
            return "exceeded quota: none" in str(error)
        return False

    def get(self, kind: str, name: str = "fraud") -> dict[str, Any] | None:
        """Return an object; None when there is none."""
        return self.objects.get(kind, self.namespace, name)

    def pods(self, name: str = "fraud") -> list[dict[str, Any]]:
        """Return a model's pods."""
        return self.objects.pods(self.namespace, f"foresail.dev/model={name}")

    def status(self, name: str = "fraud") -> dict[str, Any]:
        """Return a model's status; empty until one is written."""
        found: dict[str, Any] = (self.get("mdep", name) or {}).get("status") or {}
        return found

    def conditions(self, name: str = "fraud") -> dict[str, dict[str, Any]]:
        """Return a model's conditions by type."""
        return {one["type"]: one for one in self.status(name).get("conditions") or ()}

    def state(self, kind: str, name: str = "fraud") -> tuple[str | None, str | None]:
        """Return status and reason of a condition."""
        found = self.conditions(name).get(kind, {})
        return found.get("status"), found.get("reason")

    def wait_ready(self, name: str = "fraud", seconds: float = SECONDS) -> None:
        """Wait as `kubectl wait --for=condition=Ready` does."""
        eventually(lambda: self._ready(name), f"{name} is ready", seconds)

    def _ready(self, name: str) -> bool:
        model = self.get("mdep", name) or {}
        found = {one["type"]: one for one in (model.get("status") or {}).get("conditions") or ()}.get("Ready", {})
        seen = found.get("observedGeneration", 0)
        return bool(found.get("status") == "True" and seen >= model["metadata"]["generation"])

    def wait_settled(self, operator: Operator, name: str = "fraud") -> None:
        """Wait until it is ready and nothing is under way."""
        eventually(lambda: self.is_settled(name), f"{name} settles")
        wait_quiet(operator)

    def is_settled(self, name: str = "fraud") -> bool:
        """Tell whether its status says that it is ready and that nothing is under way."""
        return self._ready(name) and self.state("Reconciling", name)[0] == "False"


def wait_quiet(operator: Operator) -> None:
    """Wait until an operator has nothing to do: it has sent nothing for two seconds."""
    eventually(Still(operator.sent), "the operator has nothing to do", pause=0.25)


class Still:
    """Holds once a number has been the same for two seconds."""

    def __init__(self, number: Callable[[], float]) -> None:
        self._number = number
        self._last = -1.0
        self._since = time.monotonic()

    def __call__(self) -> bool:
        if (now := self._number()) != self._last:
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since > 2
