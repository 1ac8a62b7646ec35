"""Locks between processes: of two that need the same thing, one makes it and the other waits."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from foresail_testbed import progress


@contextlib.contextmanager
def held(path: Path, thing: str = "") -> Iterator[None]:
    """Hold the lock of that file; it goes with the process if that is killed.

    Whoever has to wait is told that another makes the thing, where its name is given: it may take minutes.
    """
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if thing:
                progress.show(f"waiting for another process that makes {thing}", terminal=False)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def taken(path: Path) -> bool:
    """Tell whether a process holds the lock of that file."""
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
