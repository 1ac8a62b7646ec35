"""Private folders inside a cluster, in place of the host's, which is left as it was."""

import os
import socket
import subprocess
from pathlib import Path

from foresail_testbed import layout, options

# Places that kubelet, containerd and the network plugins write to whatever their settings say.
PRIVATE = ("/run", "/var/log", "/var/lib/kubelet", "/var/lib/cni")


def make_points() -> list[Path]:
    """Make the mount points that the host lacks and return them, for removal at the end."""
    missing = [Path(place) for place in PRIVATE if not Path(place).exists()]
    for place in missing:
        place.mkdir(parents=True)
    return missing


def cover() -> None:
    """Lay an empty folder over each place of this mount namespace that would otherwise be shared."""
    for place in PRIVATE:
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
