"""Start a cluster from the inside, in the order in which its parts need each other."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foresail_testbed import (
    api,
    cgroups,
    components,
    errors,
    flags,
    layout,
    manifests,
    mounts,
    network,
    options,
)

READY_SECONDS = 120.0
NODE_READY_SECONDS = 120.0
COMMAND_SECONDS = 30.0


class Machine:
    """The machine inside: its components, its nodes and the orders it takes."""

    def __init__(self, run: layout.Run, report: Callable[..., None]) -> None:
        self._run = run
        self._report = report
        self._wish = options.Options.decode(run.spec.read_text())
        self._parts = components.Components(run.logs)
        self._holders: dict[int, int | None] = {}
        os.environ["PATH"] = f"{run.bin}:{os.environ['PATH']}"
        os.environ.setdefault("GOGC", options.GARBAGE_PERCENT)

    def start(self) -> None:
        """Start everything and return when it serves."""
        mounts.cover(self._run)
        mounts.name_hosts(self._run)
        network.set_up_machine()
        client = self._start_control_plane()
        try:
            if self._wish.kwok_nodes:
                self._start_kwok(client)
            if self._wish.kubelets:
                self._start_nodes(client)
        finally:
            client.close()
        self._parts.require_alive()

    def orders(self) -> dict[str, Callable[..., Any]]:
        """Return what can be asked of a running cluster."""
        return {
            "states": self._parts.states,
            "stop": lambda name, kill=False: self._parts.stop(name, kill),
            "start": self.restart,
            "pause": lambda name: self._parts.signal(name, signal.SIGSTOP),
            "resume": lambda name: self._parts.signal(name, signal.SIGCONT),
            "add-node": self.add_node,
            "nodes": lambda: [options.NodePlan(index).name for index in self._holders],
        }

    def log_ends(self) -> dict[str, str]:
        """Return the last lines of every component's log."""
        return {name: self._parts.tail(name) for name in self._parts.states()}

    def _start_control_plane(self) -> api.Client:
        run, wish = self._run, self._wish
        self._report(event="step", message="etcd and the API server")
        self._launch("etcd", flags.etcd(run))
        self._launch("kube-apiserver", flags.apiserver(run, wish))
        client = self._client(options.API_PORT)
        self._wait(client, "/readyz")
        self._report(event="step", message="controllers and scheduler")
        self._launch("kube-controller-manager", flags.controller_manager(run, wish))
        self._launch("kube-scheduler", flags.scheduler(run, wish))
        self._wait(client, "/api/v1/namespaces/default/serviceaccounts/default")
        return client

    def _start_kwok(self, client: api.Client) -> None:
        self._report(event="step", message=f"{self._wish.kwok_nodes} nodes of kwok")
        self._launch("kwok", flags.kwok(self._run))
        for index in range(1, self._wish.kwok_nodes + 1):
            client.create(manifests.kwok_node(index))
        for index in range(1, self._wish.kwok_nodes + 1):
            self._wait_node(client, f"kwok-{index}")

    def _start_nodes(self, client: api.Client) -> None:
        for _ in range(self._wish.nodes):
            self._launch_node()
        if self._wish.dns:
            self._launch("coredns", flags.coredns(self._run))
            self._create(client, manifests.dns())
        if self._wish.metrics_server:
            self._start_metrics_server(client)
        self._report(event="step", message=f"{self._wish.nodes} node(s) with kubelet and containerd")
        for index in self._holders:
            self._wait_node(client, options.NodePlan(index).name)

    def _start_metrics_server(self, client: api.Client) -> None:
        """Register the metrics API once it answers: one that doesn't would break discovery meanwhile."""
        self._report(event="step", message="metrics-server")
        self._launch("metrics-server", flags.metrics_server(self._run))
        itself = self._client(flags.METRICS_SERVER_PORT)
        try:
            self._wait(itself, "/livez")
        finally:
            itself.close()
        self._create(client, manifests.metrics_server())
        self._wait(client, "/apis/metrics.k8s.io/v1beta1")

    def _client(self, port: int) -> api.Client:
        run = self._run
        return api.Client.trusted(
            options.API_ADDRESS, port, run.certificate("ca"), run.certificate("admin"), run.key("admin")
        )

    def restart(self, name: str) -> None:
        """Start a stopped component again as it was; a containerd takes connections when this returns.

        One that was killed leaves its socket behind, which refuses: a kubelet that asks too early ends for good.
        """
        kind, _, node = name.partition(".")
        if kind != "containerd":
            self._parts.restart(name)
            return
        place = self._run.node(node) / "containerd.sock"
        self._parts.restart(name)
        api.wait_until(
            lambda: takes_connections(place), COMMAND_SECONDS, f"containerd of {node}", check=self._parts.require_alive
        )

    def add_node(self) -> str:
        """Start one more node and return its name; it is Ready some seconds later."""
        if not self._wish.kubelets:
            raise errors.TestbedError("this is a control plane only; start the cluster with `--nodes 1` or more")
        if len(self._holders) >= options.MAX_NODES:
            raise errors.TestbedError(f"a cluster has at most {options.MAX_NODES} nodes with a kubelet")
        return self._launch_node().name

    def _launch_node(self) -> options.NodePlan:
        node = options.NodePlan(len(self._holders) + 1)
        holder = self._hold(node) if node.index > 1 else None
        self._holders[node.index] = holder
        cgroups.create(cgroups.root_of(self._run.name, node.name))
        self._launch("containerd", flags.containerd(self._run, node), f"containerd.{node.name}", holder)
        self._import_pause(node)
        self._launch("kubelet", flags.kubelet(self._run, node), f"kubelet.{node.name}", holder)
        self._launch("kube-proxy", flags.proxy(self._run, node), f"kube-proxy.{node.name}", holder)
        return node

    def _import_pause(self, node: options.NodePlan) -> None:
        place = self._run.node(node.name) / "containerd.sock"
        api.wait_until(place.exists, COMMAND_SECONDS, f"containerd of {node.name}", check=self._parts.require_alive)
        command = ["ctr", "-a", str(place), "-n", "k8s.io", "images", "import", "--local", str(self._run.pause_image)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS)

    def _hold(self, node: options.NodePlan) -> int:
        """Make a further node's network and mount namespaces, held open by a process that does nothing."""
        command = ("unshare", "--net", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec sleep infinity")
        self._parts.start(components.Component(f"namespaces.{node.name}", command))
        holder = self._parts.pid(f"namespaces.{node.name}")
        if holder is None:
            raise errors.TestbedError(f"the namespaces of {node.name} could not be made")
        wait_own_namespace(holder)
        enter = ("nsenter", "-t", str(holder), "-n", "-m", "--")
        for place in ("/var/log", *mounts.NODE):
            subprocess.run([*enter, "mount", "-t", "tmpfs", "tmpfs", place], check=True, capture_output=True)
        subprocess.run([*enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True, capture_output=True)
        network.join_node(node, holder, [options.NodePlan(index) for index in self._holders])
        for other in self._holders.values():
            network.lead_pods(node, other)
        return holder

    def _launch(self, program: str, arguments: list[str], name: str | None = None, holder: int | None = None) -> None:
        enter = ("nsenter", "-t", str(holder), "-n", "-m", "--") if holder else ()
        command = (*enter, str(self._run.bin / program), *arguments)
        self._parts.start(components.Component(name or program, command))

    def _wait(self, client: api.Client, path: str) -> None:
        client.wait_ok(path, READY_SECONDS, check=self._parts.require_alive)

    def _wait_node(self, client: api.Client, name: str) -> None:
        def ready() -> bool:
            found = client.get(f"/api/v1/nodes/{name}")["status"].get("conditions", ())
            return any(c["type"] == "Ready" and c["status"] == "True" for c in found)

        api.wait_until(ready, NODE_READY_SECONDS, f"node {name} to be Ready", check=self._parts.require_alive)

    def _create(self, client: api.Client, objects: list[dict[str, Any]]) -> None:
        for manifest in objects:
            client.create(manifest)


def wait_own_namespace(holder: int) -> None:
    """Wait until a process has left this network namespace."""
    api.wait_until(
        lambda: Path(f"/proc/{holder}/ns/net").readlink() != Path("/proc/self/ns/net").readlink(),
        5.0,
        "a node's namespace",
    )


def takes_connections(place: Path) -> bool:
    """Tell whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(place))
        except OSError:
            return False
    return True
