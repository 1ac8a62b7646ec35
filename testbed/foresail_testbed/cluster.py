"""A running cluster as its user sees it from outside."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from foresail_testbed import access, api, assets, control, errors, forward, host, layout, namespaces, options, runs

START_SECONDS = 240.0
STOP_SECONDS = 60.0
IMAGE_SECONDS = 600.0
KEEPER_ENDED = '{"event": "failed", "message": "the keeper ended", "logs": {}}'
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")

Listener = Callable[[str], None]


class Cluster(access.Access):
    """A cluster that runs; made by `start` or `attach`."""

    def __init__(
        self, run: layout.Run, keeper_pid: int, init_pid: int, starter: "subprocess.Popen[str] | None" = None
    ) -> None:
        super().__init__(run.kubeconfig("admin"), run.bin)
        self.run = run
        self.options = options.Options.decode(run.spec.read_text())
        self.keeper_pid = keeper_pid
        self.init_pid = init_pid
        self._keeper = starter
        self._network = Path(f"/proc/{init_pid}/ns/net")

    @classmethod
    def start(cls, wish: options.Options, detached: bool = False, listener: Listener = lambda _: None) -> "Cluster":
        """Start a cluster and return when it serves.

        It ends with this process, however that ends, unless `detached`. Programs that are missing are built first.
        Raises TestbedError when something is missing on the machine or a component would not start.
        """
        check(wish)
        host.require(wish.kubelets)
        runs.make_folder()
        programs = assets.provide(wish, listener)
        starter = launch_keeper(wish, programs, detached)
        try:
            follow(starter, listener)
            return cls.attach(wish.name, starter)
        except BaseException:
            end(starter)
            raise

    @classmethod
    def attach(cls, name: str, starter: "subprocess.Popen[str] | None" = None) -> "Cluster":
        """Return the running cluster of that name; `starter` is its keeper where this process has started it."""
        run = layout.Run.named(name)
        if not runs.alive(run) or not run.state.exists():
            raise errors.TestbedError(
                f"no cluster named {name} runs; start it with `foresail-testbed up --name {name}`"
            )
        state = json.loads(run.state.read_text())
        return cls(run, state["keeper"], state["init"], starter)

    def stop(self) -> None:
        """End the cluster and return when nothing of it is left."""
        self.leave()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.keeper_pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while runs.alive(self.run) and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._keeper is not None:
            end(self._keeper)
        with runs.exclusively():
            runs.remove_stale()  # a keeper that was killed has not
        if self.run.folder.exists():
            raise errors.TestbedError(f"the cluster {self.run.name} did not end within {STOP_SECONDS:.0f} s")

    def enter(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command` inside, in the present folder."""
        return ["nsenter", "-t", str(self.init_pid), "-n", "-m", "-p", f"--wdns={Path.cwd()}", "--", *command]

    def api(self) -> api.Client:
        """Return a client with all rights; works where the network is joined."""
        run = self.run
        return api.Client.trusted(
            options.API_ADDRESS, options.API_PORT, run.certificate("ca"), run.certificate("admin"), run.key("admin")
        )

    @contextlib.contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Lead this process, where it has joined the network, to a Service; yields its URL without a path."""
        spec = self.get("service", service, "-n", namespace)["spec"]
        yield f"http://{spec['clusterIP']}:{port}"

    def join(self) -> None:
        """Move this thread, and the threads it starts from now on, into the cluster's network."""
        namespaces.enter_network(self._network)

    def leave(self) -> None:
        """Move this thread home, if it is in the cluster's network."""
        if self._joined():
            namespaces.go_home()

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Hold this thread in the cluster's network."""
        already = self._joined()
        self.join()
        try:
            yield
        finally:
            if not already:
                self.leave()

    def keep(self) -> None:
        """Let the cluster live on after this process; `foresail-testbed down` ends it."""
        os.kill(self.keeper_pid, signal.SIGUSR1)

    def outside_kubeconfig(self) -> Path:
        """Return a kubeconfig that works from this machine's own shell, through a port of 127.0.0.1."""
        return forward.start(self.run, self.init_pid)

    def _joined(self) -> bool:
        return self._network.exists() and self._network.readlink() == namespaces.OWN.readlink()

    def components(self) -> dict[str, int | None]:
        """Return each component's process id inside; None for one that has ended."""
        found: dict[str, int | None] = control.send(self.run.socket, "states")
        return found

    def stop_component(self, name: str, kill: bool = False) -> None:
        """End a component (`etcd`, `kube-apiserver`, `kubelet.node-1`, …) by SIGTERM or SIGKILL."""
        control.send(self.run.socket, "stop", name=name, kill=kill)

    def start_component(self, name: str) -> None:
        """Start a stopped component as it was."""
        control.send(self.run.socket, "start", name=name)

    def pause_component(self, name: str) -> None:
        """Freeze a component: its connections stay open and nothing answers."""
        control.send(self.run.socket, "pause", name=name)

    def resume_component(self, name: str) -> None:
        """Let a frozen component go on."""
        control.send(self.run.socket, "resume", name=name)

    def log(self, component: str) -> Path:
        """Return a component's log file."""
        return self.run.logs / f"{component}.log"

    def nodes(self) -> list[str]:
        """Return the names of the nodes with a kubelet."""
        names: list[str] = control.send(self.run.socket, "nodes")
        return names

    def add_node(self) -> str:
        """Start one more node with a kubelet, wait until it is Ready and return its name."""
        name: str = control.send(self.run.socket, "add-node")
        self.kubectl("wait", "--for=create", f"node/{name}", "--timeout=60s")
        self.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=60s")
        return name

    def load_image(self, archive: Path) -> None:
        """Put the image of an OCI or Docker archive on every node."""
        for node in self.nodes():
            socket = self.run.node(node) / "containerd.sock"
            words = ["ctr", "-a", str(socket), "-n", "k8s.io", "images", "import", "--local", str(archive.resolve())]
            try:
                done = self.execute(words, IMAGE_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise errors.TestbedError(
                    f"{archive} was not on {node} within {IMAGE_SECONDS:.0f} s: load it once more on a quieter machine"
                ) from error
            if done.returncode != 0:
                raise errors.TestbedError(f"{archive} could not be loaded on {node}: {done.stderr.strip()}")


def check(wish: options.Options) -> None:
    """Refuse a shape that can't be; raises TestbedError with what to change."""
    if not NAME.fullmatch(wish.name):
        raise errors.TestbedError(f"{wish.name!r} is no cluster name: use up to 32 of a-z, 0-9 and -")
    if not 0 <= wish.nodes <= options.MAX_NODES:
        raise errors.TestbedError(
            f"{wish.nodes} nodes with a kubelet can't be: ask for 0 to {options.MAX_NODES}, and for kwok's beyond that"
        )
    if wish.kwok_nodes < 0:
        raise errors.TestbedError(f"{wish.kwok_nodes} nodes of kwok can't be: ask for 0 or more")


def launch_keeper(wish: options.Options, programs: dict[str, str], detached: bool) -> subprocess.Popen[str]:
    """Start the process that keeps the cluster, in a session of its own so that Ctrl-C passes it by."""
    owner = 0 if detached else os.getpid()
    with namespaces.at_home():
        starter = subprocess.Popen(
            [sys.executable, "-m", "foresail_testbed.keeper", wish.name, str(owner)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    if starter.stdin is None:
        raise RuntimeError("the keeper was started without a pipe")
    with starter.stdin as pipe:
        json.dump({"options": wish.encode(), "programs": programs}, pipe)
    return starter


def follow(starter: subprocess.Popen[str], listener: Listener) -> None:
    """Read the start's progress until it is ready; raises TestbedError if it fails or takes too long."""
    pipe = starter.stdout
    if pipe is None:
        raise RuntimeError("the keeper was started without a pipe")
    deadline = time.monotonic() + START_SECONDS
    with pipe:
        for line in lines(pipe.fileno(), deadline):
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "ready":
                return
            if event["event"] == "failed":
                raise errors.TestbedError(describe_failure(event["message"], event["logs"]))
            listener(event["message"])
    raise errors.TestbedError(f"the cluster was not ready within {START_SECONDS:.0f} s")


def lines(descriptor: int, deadline: float) -> Iterator[str]:
    """Yield the lines that come until the deadline; KEEPER_ENDED when no more can come.

    The pipe is read past Python's buffer, in which a second line would lie unseen by `select`.
    """
    rest = b""
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        read = os.read(descriptor, 65536)
        *whole, rest = (rest + read).split(b"\n")
        yield from (line.decode() for line in whole)
        if not read:
            yield KEEPER_ENDED


def describe_failure(message: str, logs: dict[str, str]) -> str:
    """Write why a start failed, with the end of each log that has something to say."""
    ends = [f"--- {name}\n{text}" for name, text in logs.items() if text]
    return "\n".join([f"the cluster did not start: {message}", *ends])


def end(starter: subprocess.Popen[str]) -> None:
    """End a keeper and wait for it."""
    starter.terminate()
    try:
        starter.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        starter.kill()
        starter.wait()


def unique_name(prefix: str) -> str:
    """Return a name that no other run has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"
