"""The stage: a control plane with kwok's nodes, and the operator on it as a pod would run it.

The operator is a process of its own that has the environment which the chart gives it, signs in with the token of the
chart's service account and has its rights, no others. Pods are kwok's, the activator's too: Ready at once, so Ready
leaves out the pull, the download and the load of a model.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from bench.operator import shipped
from foresail_testbed import options
from foresail_testbed.cluster import Cluster

if TYPE_CHECKING:
    from foresail_testbed.process import Inside

ROOT: Final = Path(__file__).parents[2]
NAMESPACE: Final = shipped.NAMESPACE
ACCOUNT: Final = "foresail"
USER: Final = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
PORT: Final = 18500
_AS_A_POD: Final = """
mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$ACCOUNT_FILES"/* /run/secrets/kubernetes.io/serviceaccount/
exec "$@"
"""
_AS_THE_IMAGE: Final = (
    "import sys; sys.modules['kubernetes'] = None; from foresail_operator.__main__ import main; main()"
)
"""The image leaves the kubernetes package out, which kopf would import (20 MB) where it is."""
_TICK: Final = os.sysconf("SC_CLK_TCK")
_SECONDS: Final = 240.0


def start(name: str, nodes: int, kubernetes: str = options.KUBERNETES_VERSION) -> Cluster:
    """Start a control plane with all that the chart puts on it but the operator."""
    wish = options.Options(
        name=name, kubernetes=kubernetes, nodes=0, kwok_nodes=nodes, controllers_qps=500, audit_users=(USER,)
    )
    plane = Cluster.start(wish)
    install = yaml.safe_dump_all(shipped.objects(_shipped(plane), options.API_ADDRESS))
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=install)
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/metrics-api"))
    plane.wait_for_definition("modeldeployments.foresail.dev")
    plane.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{shipped.ACTIVATOR}", f"--timeout={_SECONDS:g}s")
    return plane


def _shipped(plane: Cluster) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(plane.kubectl("kustomize", str(ROOT / "deploy"))))


class Operator:
    """The operator's process; `package` is where its sources are, this checkout's unless said."""

    def __init__(self, plane: Cluster, package: Path | None = None, command: tuple[str, ...] = ()) -> None:
        self._plane = plane
        self._package = package
        self._command = command or (sys.executable, "-c", _AS_THE_IMAGE)
        self._folder = plane.run.folder / "account"
        self._folder.mkdir(mode=0o700)
        token = plane.kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration=4h").strip()
        for file, text in (("token", token), ("namespace", NAMESPACE)):
            (self._folder / file).write_text(text)
        (self._folder / "ca.crt").write_bytes(plane.run.certificate("ca").read_bytes())
        self._process = self._start()

    def _start(self) -> Inside:
        environment = shipped.environment(_shipped(self._plane)) | {
            "KUBECONFIG": "",
            "KUBERNETES_SERVICE_HOST": options.API_ADDRESS,
            "KUBERNETES_SERVICE_PORT": str(options.API_PORT),
            "ACCOUNT_FILES": str(self._folder),
            "FORESAIL_HTTP_HOST": "0.0.0.0",  # of a network namespace of its own; the aggregator comes to it
            "FORESAIL_HTTP_PORT": str(PORT),
            "FORESAIL_POD_NAMESPACE": NAMESPACE,
            "FORESAIL_RUNTIME_IMAGE": "foresail-runtime:bench",
        }
        if self._package:
            environment["PYTHONPATH"] = str(self._package)
        command = ["unshare", "--mount", "sh", "-ec", _AS_A_POD, "sh", *self._command]
        return self._plane.popen(command, environment, log=self.log)

    @property
    def log(self) -> Path:
        """What it says."""
        return Path(tempfile.gettempdir()) / "foresail-bench-operator.log"

    @property
    def pid(self) -> int:
        """Its process id on this machine."""
        return self._process.pids()[0]

    def sample(self, name: str) -> float | None:
        """Return one of its metrics; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def leads(self) -> bool:
        """Tell whether it leads."""
        return self.sample("foresail_operator_leading ") == 1.0

    def wait_until_leading(self) -> None:
        """Wait until it leads."""
        deadline = time.monotonic() + _SECONDS
        while not self.leads():
            if time.monotonic() > deadline or self._process.returncode is not None:
                raise RuntimeError(f"the operator does not lead; its log: {self.log}")
            time.sleep(0.1)  # each look costs the operator a page of metrics

    def usage(self) -> dict[str, float]:
        """Return its CPU seconds so far, its memory and its largest, in MB of a million bytes."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        memory = {name: int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")}
        cpu = (int(fields[11]) + int(fields[12])) / _TICK
        return {"cpu_s": cpu, "memory_mb": round(memory["VmRSS"], 1), "peak_mb": round(memory["VmHWM"], 1)}

    def stop(self) -> float:
        """End it as the kubelet does; return the seconds that it took."""
        begun = time.monotonic()
        self._process.stop()
        return time.monotonic() - begun

    def again(self) -> None:
        """Start it once more."""
        self._process = self._start()
