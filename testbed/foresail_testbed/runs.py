"""The folder of all runs: which live, and what dead ones have left."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from typing import TextIO

from foresail_testbed import cgroups, errors, layout, locks


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """Hold the lock under which runs are made and stale ones removed."""
    folder = layout.runs_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locks.held(folder / ".lock"):
        yield


def claim(run: layout.Run) -> TextIO:
    """Make the run's folder and hold its lock; raises TestbedError if a cluster of that name runs."""
    try:
        run.folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise errors.TestbedError(
            f"a cluster named {run.name} runs already; end it with `foresail-testbed down --name {run.name}` "
            "or choose another name"
        ) from error
    lock = run.lock.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def alive(run: layout.Run) -> bool:
    """Tell whether a keeper holds the run."""
    try:
        with run.lock.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def remove_stale() -> None:
    """Remove what runs whose keeper was killed have left: empty groups and files."""
    for folder in layout.runs_folder().iterdir():
        run = layout.Run(folder)
        if folder.is_dir() and not folder.name.startswith(".") and not alive(run):
            clear(run)


def clear(run: layout.Run) -> None:
    """Remove a dead run's groups and files."""
    cgroups.remove(run.name)
    shutil.rmtree(run.folder, ignore_errors=True)
