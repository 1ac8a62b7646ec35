"""The clusters that the demo can be told on: kind, and the project's own testbed."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from demo import kind
from foresail_testbed import cluster as testbed
from foresail_testbed import external, images, options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
HELM = str(ROOT / "scripts" / "helm")
DOCKERFILES = {
    "foresail-operator": "Dockerfile.operator",
    "foresail-runtime": "Dockerfile.runtime",
    "foresail-example-models": "examples/model-store/Dockerfile",
}
NAME = "demo"


class CommandError(Exception):
    """A command of the demo failed; the message has its words."""


class Place(Protocol):
    """A cluster that the demo makes."""

    title: str

    def build_images(self) -> list[str]:
        """Build the images and return their names as the cluster knows them."""

    def up(self, tell: testbed.Listener) -> None:
        """Start the cluster, with metrics-server."""

    def load_images(self) -> None:
        """Put the images on the nodes."""

    def run(self, words: Sequence[str], seconds: float = 180.0, stdin: str | None = None) -> str:
        """Run kubectl or helm against the cluster and return what it prints; raises CommandError."""

    def reach(self, namespace: str, service: str, port: int) -> contextlib.AbstractContextManager[str]:
        """Lead this process to a Service; gives its URL."""

    def down(self) -> None:
        """End the cluster."""

    def keep(self) -> None:
        """Let the cluster outlive the demo."""

    def access(self) -> list[str]:
        """Return the lines that tell how to use and end a cluster that was left; none where it never was up."""


def execute(words: Sequence[str], seconds: float, stdin: str | None = None) -> str:
    """Run a command of this machine to its end; raises CommandError."""
    try:
        done = subprocess.run(
            words, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"`{' '.join(words)}` took more than {seconds:.0f} s") from error
    if done.returncode != 0:
        raise CommandError(f"`{' '.join(words)}` failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def context(dockerfile: Path) -> Path:
    """Return the folder whose files a Dockerfile may copy: the project's, and the examples' for the one in there."""
    examples = ROOT / "examples"
    return examples if dockerfile.is_relative_to(examples) else ROOT


class Kind:
    """A kind cluster: where Docker runs."""

    title = "kind, in Docker"

    def __init__(self, folder: Path, tag: str, image: str = "") -> None:
        self._kubeconfig = folder / "kubeconfig"
        self._image = image
        self._names = [f"localhost/{name}:{tag}" for name in DOCKERFILES]
        self._tag = tag
        self._begun = self._made = False

    def build_images(self) -> list[str]:
        """Build with docker, under the names that are loaded afterwards."""
        names = [f"TAG={self._tag}", "REGISTRY=localhost", "VARIANT=cpu"]
        execute(["env", *names, str(ROOT / "scripts" / "images")], seconds=1800)
        return self._names

    def up(self, tell: testbed.Listener) -> None:
        """Make the cluster; raises CommandError where an earlier run has left one, which may be in use."""
        for program in (kind.PROGRAM, HELM):  # builds what is missing where it shows progress
            subprocess.run([program, "version"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        if kind.CLUSTER in execute(kind.clusters(), seconds=60).split():
            raise CommandError(f"a demo's cluster runs already; end it with `{kind.end()}`")
        self._begun = True
        tell("kind creates the cluster")
        execute(kind.create(self._kubeconfig, self._image), seconds=600)
        self._made = True
        self._install_metrics_server(tell)

    def _install_metrics_server(self, tell: testbed.Listener) -> None:
        """Install it if its manifest and image can be had from here; the demo's own autoscaler does without."""
        tell("metrics-server is installed")
        kubectl = self._command("kubectl")
        try:
            for command in kind.install_metrics_server(kubectl):
                execute(command, seconds=300)
        except CommandError as error:
            tell(f"metrics-server is left out, which a cpu or memory autoscaler needs and this demo does not: {error}")
            execute(kind.remove_metrics_api(kubectl), seconds=60)

    def load_images(self) -> None:
        """Load with kind's own command."""
        for name in self._names:
            execute(kind.load_image(name), seconds=300)

    def run(self, words: Sequence[str], seconds: float = 180.0, stdin: str | None = None) -> str:
        """Run kubectl or helm with the cluster's kubeconfig."""
        return execute([*self._command(words[0]), *words[1:]], seconds, stdin)

    def _command(self, program: str) -> list[str]:
        path = HELM if program == "helm" else str(ROOT / ".venv" / "bin" / program)
        return [path, f"--kubeconfig={self._kubeconfig}"]

    @contextlib.contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Forward a port of this machine while the block runs."""
        command = kind.forward(self._command("kubectl"), namespace, service, port)
        with external.forwarded(command) as local:
            yield f"http://127.0.0.1:{local}"

    def down(self) -> None:
        """Delete the cluster, if it is this demo's."""
        if self._begun:
            execute(kind.delete(self._kubeconfig), seconds=120)

    def keep(self) -> None:
        """Do nothing: it lives on by itself."""

    def access(self) -> list[str]:
        """Tell the kubeconfig."""
        if not self._made:
            return []
        return [
            f"export KUBECONFIG={self._kubeconfig}",
            "kubectl get mdep,pods,hpa        # .venv/bin/kubectl, if you have none",
            kind.end(),
        ]


class Testbed:
    """The project's own cluster: where this is Linux and root."""

    __test__ = False  # pytest would take the class for a test by its name
    title = "the testbed: a real Kubernetes in namespaces of this machine"

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._archives: list[Path] = []
        self._cluster: testbed.Cluster | None = None

    @property
    def _running(self) -> testbed.Cluster:
        if self._cluster is None:
            raise RuntimeError("the cluster is not up")
        return self._cluster

    def build_images(self) -> list[str]:
        """Build with buildah into archives of the user's cache."""
        names = {f"localhost/{name}:{self._tag}": ROOT / file for name, file in DOCKERFILES.items()}
        self._archives = [images.ensure(file, name, context=context(file)) for name, file in names.items()]
        return list(names)

    def up(self, tell: testbed.Listener) -> None:
        """Start it; raises TestbedError where an earlier run has left one, which may be in use."""
        subprocess.run([HELM, "version"], stdout=subprocess.DEVNULL, check=True)  # builds it where it shows progress
        wish = options.Options(name=NAME)
        self._cluster = testbed.Cluster.start(wish, listener=tell)

    def load_images(self) -> None:
        """Load each archive."""
        for archive in self._archives:
            self._running.load_image(archive)

    def run(self, words: Sequence[str], seconds: float = 180.0, stdin: str | None = None) -> str:
        """Run kubectl or helm inside."""
        program = HELM if words[0] == "helm" else words[0]
        done = self._running.execute([program, *words[1:]], seconds, stdin)
        if done.returncode != 0:
            raise CommandError(f"`{' '.join(words)}` failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    @contextlib.contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Move this thread into the cluster's network while the block runs."""
        with self._running.joined(), self._running.reach(namespace, service, port) as url:
            yield url

    def down(self) -> None:
        """End it; nothing is left of it."""
        if self._cluster is not None:
            self._cluster.stop()

    def keep(self) -> None:
        """Take it out of this process's care."""
        if self._cluster is not None:
            self._cluster.keep()

    def access(self) -> list[str]:
        """Tell how to use kubectl from outside, and how to get inside."""
        if self._cluster is None:
            return []
        program = os.path.relpath(ROOT / ".venv" / "bin" / "foresail-testbed")
        return [
            f"export KUBECONFIG={self._cluster.outside_kubeconfig()}",
            "kubectl get mdep,pods,hpa        # .venv/bin/kubectl, if you have none",
            f"{program} exec --name {NAME} -- bash        # a shell inside, where Services have their addresses",
            f"{program} down --name {NAME}",
        ]
