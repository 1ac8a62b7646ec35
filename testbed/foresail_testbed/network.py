"""The private network of a cluster: a bridge, a wire a node, and no way out.

What has no route is refused at once rather than lost, so that nothing waits for the Internet in there.
"""

import subprocess
from pathlib import Path

from foresail_testbed import options

BRIDGE = "testbed0"


def ip(*words: str) -> None:
    """Run one `ip` command."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def set_up_machine() -> None:
    """Lay the network of the first node, in whose namespace the control plane runs.

    The wire to nowhere gives the bridge a carrier, without which its address can't be reached.
    """
    ip("link", "set", "lo", "up")
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("link", "add", "carrier0", "type", "veth", "peer", "name", "carrier1")
    ip("link", "set", "carrier1", "master", BRIDGE)
    for device in ("carrier0", "carrier1", BRIDGE):
        ip("link", "set", device, "up")
    ip("address", "add", f"{options.API_ADDRESS}/24", "dev", BRIDGE)
    add_routes(BRIDGE)


def add_routes(device: str) -> None:
    """Lead Services into the device (kube-proxy rewrites them before they leave) and refuse the rest."""
    ip("route", "add", options.SERVICE_NETWORK, "dev", device)
    ip("route", "add", "unreachable", "default", "metric", "4096")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def join_node(node: options.NodePlan, holder: int, others: list[options.NodePlan]) -> None:
    """Wire a further node's namespace to the bridge and tell every node where the others' pods are."""
    wire, inside = f"wire{node.index}", ("nsenter", "-t", str(holder), "-n", "--", "ip")
    ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", str(holder))
    ip("link", "set", wire, "master", BRIDGE)
    ip("link", "set", wire, "up")
    for words in (
        ("link", "set", "lo", "up"),
        ("link", "set", "eth0", "up"),
        ("address", "add", f"{node.address}/24", "dev", "eth0"),
        ("route", "add", options.SERVICE_NETWORK, "dev", "eth0"),
        ("route", "add", "unreachable", "default", "metric", "4096"),
        *(("route", "add", other.pods, "via", other.address) for other in others),
    ):
        subprocess.run([*inside, *words], check=True, capture_output=True, text=True)


def lead_pods(node: options.NodePlan, holder: int | None) -> None:
    """Tell one node (None: the first) the way to another's pods."""
    inside = ("nsenter", "-t", str(holder), "-n", "--") if holder else ()
    words = (*inside, "ip", "route", "add", node.pods, "via", node.address)
    subprocess.run(words, check=True, capture_output=True, text=True)
