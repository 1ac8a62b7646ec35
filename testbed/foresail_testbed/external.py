"""A cluster of somebody else's: kind's, or any that a kubeconfig leads to."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from foresail_testbed import access, assets, errors, programs

FORWARD_SECONDS = 20.0
LOADED_VARIABLE = "FORESAIL_E2E_IMAGES_LOADED"


class External(access.Access):
    """A cluster that was there before the tests and stays after them."""

    def __init__(self, kubeconfig: Path) -> None:
        if not kubeconfig.exists():
            raise errors.TestbedError(f"there is no kubeconfig {kubeconfig}: correct FORESAIL_E2E_KUBECONFIG")
        super().__init__(kubeconfig, Path(sys.executable).parent)

    def join(self) -> None:
        """Stay: a foreign cluster is reached from where we are."""

    def leave(self) -> None:
        """Stay."""

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

    def load_image(self, archive: Path) -> None:
        """Put an image on every node of a kind cluster; elsewhere the user must have done so."""
        if os.environ.get(LOADED_VARIABLE):
            return
        context = self.kubectl("config", "current-context").strip()
        if not context.startswith("kind-"):
            raise errors.TestbedError(
                f"images can't be loaded into {context}: push {archive} where its nodes find it, "
                f"then set {LOADED_VARIABLE}=1"
            )
        words = [find_kind(), "load", "image-archive", str(archive), "--name", context.removeprefix("kind-")]
        done = self.execute(words)
        if done.returncode != 0:
            raise errors.TestbedError(f"kind load image-archive {archive}: {done.stderr.strip()}")


def find_kind() -> str:
    """Return the `kind` command: the one on PATH, else one that is built now if it isn't in the cache."""
    return shutil.which("kind") or assets.locate(programs.KIND, print)["kind"]


def read_port(forward: "subprocess.Popen[str]") -> int:
    """Read the port that kubectl has chosen; it prints it first, or a reason."""
    first = forward.stdout.readline() if forward.stdout else ""
    found = re.search(r"127\.0\.0\.1:(\d+) ->", first)
    if not found:
        raise errors.TestbedError(f"kubectl port-forward: {first.strip()}")
    return int(found[1])
