"""A cluster of somebody else's: kind's, or any that a kubeconfig leads to."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from foresail_testbed import access, errors

FORWARD_SECONDS = 20.0


class External(access.Access):
    """A cluster that was there before the tests and stays after them."""

    def __init__(self, kubeconfig: Path) -> None:
        if not kubeconfig.exists():
            raise errors.TestbedError(f"there is no kubeconfig {kubeconfig}: correct FORESAIL_E2E_KUBECONFIG")
        super().__init__(kubeconfig, Path(sys.executable).parent)

    @contextlib.contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Forward a local port to one pod of a Service while the block runs; yields its URL without a path."""
        words = ["kubectl", "port-forward", "-n", namespace, f"service/{service}", f":{port}"]
        forward = subprocess.Popen(
            words, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield f"http://127.0.0.1:{read_port(forward)}"
        finally:
            forward.terminate()
            forward.wait(FORWARD_SECONDS)
            if forward.stdout:
                forward.stdout.close()


def read_port(forward: "subprocess.Popen[str]") -> int:
    """Read the port that kubectl has chosen; it prints it first, or a reason."""
    first = forward.stdout.readline() if forward.stdout else ""
    found = re.search(r"127\.0\.0\.1:(\d+) ->", first)
    if not found:
        raise errors.TestbedError(f"kubectl port-forward: {first.strip()}")
    return int(found[1])
