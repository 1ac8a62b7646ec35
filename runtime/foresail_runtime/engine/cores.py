"""How many CPU cores this process may use: the cgroup's limit, which ONNX Runtime does not look at."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from pathlib import Path
from typing import Final

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


POLITE: Final = 10
"""Of 19 steps: with it the event loop has about nine times the claim on a core that an engine has."""


def be_polite() -> None:
    """Let the calling thread, and those it starts from now on, step back for the process's other threads.

    A wish, not a must: where the kernel does not let it, things stay as they are. It can't be taken back.
    """
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + POLITE))


def available() -> int:
    """Return the cores this process may use, rounded up: the least of its affinity and its cgroup's limit."""
    return limit(CGROUP_ROOT, OWN_CGROUP, len(os.sched_getaffinity(0)))


def limit(root: Path, own: Path, affinity: int) -> int:
    """Return the cores that the cgroup files under `root` leave of `affinity`, at least 1.

    `own` is /proc/self/cgroup: every group from ours up to the root can have a limit, and the tightest holds.
    """
    found = share(root, own)
    return max(1, affinity if found is None else min(affinity, math.ceil(found)))


def limited() -> float | None:
    """Return the cores that this process's cgroup leaves it, parts of one too; None where nothing limits it."""
    return share(CGROUP_ROOT, OWN_CGROUP)


def share(root: Path, own: Path) -> float | None:
    """Return the least that the cgroup files leave, as `limit` reads them, not rounded; None: no limit."""
    shares = [share for folder in folders(root, own, "cpu") if (share := _share(folder)) is not None]
    return min(shares, default=None)


def folders(root: Path, own: Path, controller: str) -> list[Path]:
    """Return where a controller's files of our groups may be, from the root down, of both versions of cgroups."""
    paths = _own_paths(own, controller)
    bases = (root, root / controller, root / "cpu,cpuacct") if controller == "cpu" else (root, root / controller)
    found: list[Path] = []
    for base in bases:
        found.append(base)
        for path in paths:
            parts = [part for part in path.split("/") if part and part != ".."]
            found += [base.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return found


def _own_paths(own: Path, controller: str) -> list[str]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    # "0::/path" is version 2; "4:cpu,cpuacct:/path" is version 1's with the CPU controller.
    fields = [line.split(":", 2) for line in lines]
    return [path for number, names, path in fields if (number == "0" and not names) or controller in names.split(",")]


def _share(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return cores if cores > 0 else None
