"""What tests do with any cluster, ours or another's: run kubectl and other commands against it."""

import abc
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foresail_testbed import api, errors, options, process

COMMAND_SECONDS = 120.0


class Access(abc.ABC):
    """A cluster by its kubeconfig."""

    def __init__(self, kubeconfig: Path, programs: Path) -> None:
        self.kubeconfig = kubeconfig
        self._programs = programs

    def enter(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command` where the cluster can be reached."""
        return list(command)

    def environment(self) -> dict[str, str]:
        """Return the environment for a process that uses the cluster: KUBECONFIG, and its programs on PATH."""
        path = f"{self._programs}:{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
        defaults = {"GOGC": options.GARBAGE_PERCENT}
        return {**defaults, **os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def popen(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> process.Inside:
        """Start a process that uses the cluster, say an operator; in a cluster of ours it ends with that."""
        return process.Inside(self.enter(command), {**self.environment(), **(environment or {})}, log)

    def execute(
        self, command: Sequence[str], seconds: float = COMMAND_SECONDS, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return its output; a failure is in its `returncode`."""
        return subprocess.run(
            self.enter(command),
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> str:
        """Run kubectl and return what it prints; raises TestbedError with its words if it fails."""
        done = self.execute(["kubectl", *words], seconds, stdin)
        if done.returncode != 0:
            raise errors.TestbedError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def wait_for_definition(self, name: str, seconds: float = 30.0) -> None:
        """Wait until the kind of a CustomResourceDefinition is served; raises TestbedError if it never is.

        `kubectl wait` alone fails at once where the definition is so new that it has no conditions yet.
        """
        command = ["kubectl", "wait", "--for=condition=Established", f"crd/{name}", "--timeout=5s"]
        api.wait_until(lambda: self.execute(command).returncode == 0, seconds, f"{name} to be served")

    def get(self, *words: str) -> Any:
        """Return what `kubectl get WORDS -o json` prints, decoded."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    @abc.abstractmethod
    def reach(self, namespace: str, service: str, port: int) -> contextlib.AbstractContextManager[str]:
        """Lead this process to a Service for as long as the block runs; yields its URL without a path."""

    @abc.abstractmethod
    def load_image(self, archive: Path) -> None:
        """Put the image of an OCI or Docker archive on every node."""

    def pretend_gpus(self, node: str, count: int, product: str, memory_mebibytes: int) -> None:
        """Give a node GPUs that can be scheduled but not used, with the labels that NVIDIA's operator would set."""
        amounts = {"nvidia.com/gpu": str(count)}
        status = json.dumps({"status": {"capacity": amounts, "allocatable": amounts}})
        self.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", status)
        labels = (f"nvidia.com/gpu.product={product}", f"nvidia.com/gpu.memory={memory_mebibytes}")
        self.kubectl("label", "node", node, "--overwrite", *labels)

    @abc.abstractmethod
    def join(self) -> None:
        """Move this thread to where the cluster's addresses can be reached, if they aren't already."""

    @abc.abstractmethod
    def leave(self) -> None:
        """Move this thread back."""

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Hold this thread where the cluster's addresses can be reached."""
        yield
