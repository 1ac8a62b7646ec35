"""Private folders inside a cluster, in place of the host's, which is left as it was."""

import os
import socket
import subprocess
from pathlib import Path

from foresail_testbed import layout, options

# Places that kubelet, containerd and the network plugins write to whatever their settings say.
SYSTEM = ("/run", "/var/log")
NODE = ("/var/lib/kubelet", "/var/lib/cni")


def cover(run: layout.Run) -> None:
    """Lay private folders over the places of this mount namespace that would otherwise be shared.

    /var/lib gets a layer in memory first: the folders that it lacks are made there, not on the host.
    """
    for place in SYSTEM:
        cover_empty(place)
    layer = run.folder / "var-lib"
    layer.mkdir()
    cover_empty(str(layer))
    for part in ("upper", "work"):
        (layer / part).mkdir()
    mount(
        "-t", "overlay", "-o", f"lowerdir=/var/lib,upperdir={layer}/upper,workdir={layer}/work", "overlay", "/var/lib"
    )
    for place in NODE:
        Path(place).mkdir(exist_ok=True)
        cover_empty(place)


def cover_empty(place: str) -> None:
    """Lay an empty folder in memory over a place."""
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)


def name_hosts(run: layout.Run) -> None:
    """Give processes of the cluster its resolver and the names of its nodes.

    Without the host's own name an address look-up (`getfqdn`) would ask a resolver at every turn.
    """
    resolver = f"nameserver {options.API_ADDRESS}\noptions timeout:1 attempts:1\n"
    nodes = [options.NodePlan(index) for index in range(1, options.MAX_NODES + 1)]
    rows = [("127.0.0.1", "localhost"), ("127.0.0.1", socket.gethostname()), *((n.address, n.name) for n in nodes)]
    replace(Path("/etc/resolv.conf"), run.folder / "resolv.conf", resolver)
    replace(Path("/etc/hosts"), run.folder / "hosts", "".join(f"{address} {name}\n" for address, name in rows))


def replace(target: Path, source: Path, text: str) -> None:
    """Show `text` at `target` in this namespace; a link into the covered /run is followed there."""
    source.write_text(text)
    real = Path(os.path.realpath(target))
    if real.is_relative_to("/run"):
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text)
    elif real.exists():
        mount("--bind", str(source), str(real))


def mount(*words: str) -> None:
    """Run one `mount` command."""
    subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
