"""Move a thread of this process into another network, and back home.

The kernel keeps a network per thread and hands it down to the threads it starts. What it doesn't keep is the way back:
`_home` remembers it, from the first move of this process on.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
OWN = Path("/proc/thread-self/ns/net")

_home: list[int] = []


def enter_network(path: Path) -> None:
    """Move this thread into the network namespace of that file."""
    if not _home:
        _home.append(os.open(OWN, os.O_RDONLY | os.O_CLOEXEC))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        move_to(descriptor)
    finally:
        os.close(descriptor)


def go_home() -> None:
    """Move this thread to the network in which the process began."""
    if _home:
        move_to(_home[0])


@contextlib.contextmanager
def at_home() -> Iterator[None]:
    """Hold this thread at home, where package servers are reached, and take it back afterwards.

    A thread that never left is let be: other systems than Linux know no such networks.
    """
    if not _home:
        yield
        return
    here = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        go_home()
        yield
    finally:
        move_to(here)
        os.close(here)


def move_to(descriptor: int) -> None:
    """Move this thread into the network namespace of an open file (os.setns came with Python 3.12)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a network namespace could not be entered")
