"""Control groups of a run: one folder of its own in every hierarchy, removed with it.

A killed kubelet leaves its groups behind, empty; they are removed deepest first.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

PARENT = "foresail-testbed"
REMOVAL_SECONDS = 10.0
CREATE_TRIES = 3
POD_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")


def hierarchies(mounts: str) -> list[tuple[Path, bool]]:
    """Read /proc/mounts: each hierarchy's mount point, and whether it is version 2."""
    rows = [line.split() for line in mounts.splitlines()]
    return [(Path(row[1]), row[2] == "cgroup2") for row in rows if row[2] in {"cgroup", "cgroup2"}]


def host_hierarchies() -> list[tuple[Path, bool]]:
    """Return the hierarchies of this machine."""
    return hierarchies(Path("/proc/mounts").read_text())


def root_of(run_name: str, node: str) -> str:
    """Return the path under which a node's pods stand, in every hierarchy."""
    return f"/{PARENT}/{run_name}/{node}"


def create(path: str) -> None:
    """Make a group in every hierarchy, with controllers and processors handed down.

    Another run that ends may remove the common parent in between, hence the tries.
    """
    found = host_hierarchies()
    purely_unified = all(unified for _, unified in found)
    for mount, _ in found:
        for attempt in range(CREATE_TRIES):
            try:
                create_in(mount, path, purely_unified)
                break
            except FileNotFoundError:
                if attempt == CREATE_TRIES - 1:
                    raise


def create_in(mount: Path, path: str, hand_down: bool) -> None:
    """Make a group, and those above it, in one hierarchy."""
    current = mount
    for part in path.strip("/").split("/"):
        if hand_down:
            enable_controllers(current)
        parent, current = current, current / part
        current.mkdir(exist_ok=True)
        inherit_cpuset(parent, current)


def enable_controllers(folder: Path) -> None:
    """Hand the controllers that pods need from a version 2 group on to its children.

    Only where there is no version 1 beside it: kubelet and runc use that one then, and the host's own version 2 groups
    are left as they are.
    """
    there = set((folder / "cgroup.controllers").read_text().split())
    for controller in POD_CONTROLLERS:
        if controller in there:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def inherit_cpuset(parent: Path, child: Path) -> None:
    """Copy a version 1 cpuset, which begins empty and then admits no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (child / name).exists() and not (child / name).read_text().strip():
            (child / name).write_text((parent / name).read_text())


def remove(run_name: str) -> list[Path]:
    """Remove a run's groups everywhere and return those that would not go within the bound."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    left = list(remove_once(run_name))
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = list(remove_once(run_name))
    return left


def remove_once(run_name: str) -> Iterator[Path]:
    """Try to remove each group, deepest first, and yield those that are still busy."""
    for mount, _ in host_hierarchies():
        top = mount / PARENT / run_name
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                yield Path(folder)
        with contextlib.suppress(OSError):
            (mount / PARENT).rmdir()


def existing(run_name: str) -> list[Path]:
    """Return a run's groups that are there, in any hierarchy."""
    return [top for mount, _ in host_hierarchies() if (top := mount / PARENT / run_name).exists()]
