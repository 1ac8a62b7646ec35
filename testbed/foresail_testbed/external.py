"""A cluster of somebody else's: kind's, or any that a kubeconfig leads to."""

import contextlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from foresail_testbed import access, assets, errors, programs

FORWARD_SECONDS = 20.0
LOADED_VARIABLE = "FORESAIL_E2E_IMAGES_LOADED"
_FORWARDING = re.compile(r"127\.0\.0\.1:(\d+) ->")


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
        with forwarded(words, self.environment()) as local:
            yield f"http://127.0.0.1:{local}"

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


@contextlib.contextmanager
def forwarded(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a `kubectl port-forward` while the block runs, and yield the port that it has chosen.

    Raises TestbedError with kubectl's words if it gives none. What it prints is read to the end: it prints a line a
    connection, and would stand still once nobody had read the last two thousand.
    """
    forward = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=read, args=[forward.stdout, told.put])
    reader.start()
    try:
        yield parse_port(told.get(timeout=FORWARD_SECONDS))
    except queue.Empty as error:
        raise errors.TestbedError(f"kubectl forwarded no port within {FORWARD_SECONDS:.0f} s") from error
    finally:
        forward.terminate()
        forward.wait(FORWARD_SECONDS)
        reader.join(FORWARD_SECONDS)


def read(pipe: IO[str], tell: Callable[[str], None]) -> None:
    """Read a pipe to its end, and tell the first line with a port, which may follow warnings; else the last line."""
    told, line = False, ""
    with pipe:
        for line in pipe:
            if not told and _FORWARDING.search(line):
                told = True
                tell(line)
    if not told:
        tell(line)


def parse_port(line: str) -> int:
    """Read `Forwarding from 127.0.0.1:34567 -> 8080`; raises TestbedError with what stands there instead."""
    found = _FORWARDING.search(line)
    if not found:
        raise errors.TestbedError(f"kubectl port-forward: {line.strip()}")
    return int(found[1])
