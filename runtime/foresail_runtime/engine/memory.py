"""How much memory this process may use, the cgroup's limit; how what was large is given back, the absurd refused."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import TYPE_CHECKING, Final

from foresail_runtime.engine import cores

if TYPE_CHECKING:
    from pathlib import Path

_M_MMAP_THRESHOLD: Final = -3
"""mallopt(3)."""
LARGE_BYTES: Final = 8 * 2**20
BESIDE_BYTES: Final = 2**30
"""What stacks and reserves come to, however small the limit."""


def give_back_large() -> bool:
    """Have blocks of LARGE_BYTES and more go back to the system when they are freed; tell whether that could be set.

    glibc raises its threshold with the first large block that is freed, and from then on keeps such blocks for each
    thread: four decoded pictures of 50 megapixels, one a thread, would stay for good. It has its price: messages that
    are so large take about twice as long to go in and out.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
    except (AttributeError, OSError):  # another libc
        return False


def refuse_absurd(limit: int) -> None:
    """Have the system refuse this process more than a bit over twice the limit, untouched memory included.

    Kubelets have the kernel promise whatever is asked for (`vm.overcommit_memory` 1), and end who uses it. A request
    whose values ask for a terabyte is refused then, and does not end the server. What fits into the limit comes
    nowhere near: stacks of threads and what allocators keep in reserve count here, and are hardly touched.
    """
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = 2 * limit + BESIDE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def available() -> int | None:
    """Return the bytes that this process may use at most; None: no limit is set."""
    return limit(cores.CGROUP_ROOT, cores.OWN_CGROUP)


def total() -> int:
    """Return the bytes that there are: the limit, or without one the machine's memory."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(available() or machine, machine)


def limit(root: Path, own: Path) -> int | None:
    """Return the tightest limit of the cgroup files under `root`; `own`, /proc/self/cgroup, names the groups."""
    found = [size for folder in cores.folders(root, own, "memory") if (size := _bytes(folder)) is not None]
    return min(found, default=None)


def _bytes(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            size = int((folder / name).read_text())
        except (OSError, ValueError):  # not there, or "max"
            continue
        if size < 2**60:  # version 1 writes a number near 2^63 for none
            return size
    return None
