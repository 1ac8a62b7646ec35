"""Put a model to sleep and wake it by one request, again and again; print how long each first answer took.

Runs where the cluster's Services can be reached, with kubectl at hand, e.g. on a testbed:
foresail-testbed exec --name NAME -- .venv/bin/python -m bench.wake NAMESPACE MODEL --request FILE --wakes 50
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any


class Model:
    """A model as its user sees it."""

    def __init__(self, namespace: str, name: str) -> None:
        self._namespace = namespace
        self._name = name

    def kubectl(self, *words: str) -> str:
        done = subprocess.run(
            ["kubectl", "-n", self._namespace, *words], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    def sleep(self, seconds: float) -> None:
        """Set the Deployment to 0, as the operator does after the idle time, and wait until no replica is ready."""
        self.kubectl("scale", f"deployment/{self._name}", "--replicas=0")
        deadline = time.monotonic() + seconds
        while self._asleep() != ["True"] or self._ready():
            if time.monotonic() > deadline:
                sys.exit(f"not asleep within {seconds:g} s")
            time.sleep(0.2)

    def url(self) -> str:
        address = self.kubectl("get", "service", self._name, "-o", "jsonpath={.spec.clusterIP}")
        return f"http://{address}/v2/models/{self._name}/infer"

    def _asleep(self) -> list[str]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "mdep", self._name, "-o", "json"))
        return [one["status"] for one in found["status"]["conditions"] if one["type"] == "Asleep"]

    def _ready(self) -> bool:
        words = ("get", "pods", "-l", f"foresail.dev/model={self._name}", "-o", "json")
        pods: list[dict[str, Any]] = json.loads(self.kubectl(*words))["items"]
        conditions = (one for pod in pods for one in pod["status"].get("conditions") or ())
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def ask(url: str, body: bytes, seconds: float) -> str:
    """Return the status of one request on a connection of its own, or what went wrong."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            answer.read()
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Run the wake-ups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("namespace")
    parser.add_argument("model")
    parser.add_argument("--request", type=pathlib.Path, required=True, help="file with the body")
    parser.add_argument("--wakes", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=1800, help="no round begins after so long")
    wish = parser.parse_args()
    model, body, took, lost = Model(wish.namespace, wish.model), wish.request.read_bytes(), [], 0
    url, end = model.url(), time.monotonic() + wish.seconds
    for number in range(wish.wakes):
        if time.monotonic() > end:
            break
        model.sleep(90)
        began = time.monotonic()
        status = ask(url, body, 120)
        took.append(time.monotonic() - began)
        lost += status != "200"
        print(f"{number + 1}: {status} after {took[-1]:.2f} s", flush=True)
    p95 = statistics.quantiles(took, n=20)[-1] if len(took) > 1 else took[0]
    print(f"{len(took)} wake-ups, {lost} lost; first answer p50 {statistics.median(took):.2f} s, p95 {p95:.2f} s")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
