"""The folder of all runs: which live, and what dead ones have left.

Only a folder with a keeper's lock in it is a run: whatever else lies there is not ours to remove.
"""

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from foresail_testbed import cgroups, errors, layout, locks


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """Hold the lock under which runs are made and stale ones removed."""
    with locks.held(make_folder() / ".lock"):
        yield


def make_folder() -> Path:
    """Return the folder of all runs, made if it isn't there; raises TestbedError where others could write to it.

    Its usual place is in /tmp, where anybody may have put a link of that name: what it leads to would be written to,
    and removed from, with root's rights.
    """
    folder = layout.runs_folder()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise errors.TestbedError(
            f"{folder} is no folder of this user's alone: remove it or set {layout.RUNS_VARIABLE} to another"
        )
    return folder


def claim(run: layout.Run) -> TextIO:
    """Make the run's folder and hold its lock; raises TestbedError if a cluster of that name runs."""
    with contextlib.suppress(OSError):
        run.folder.rmdir()  # empty: of a start that was killed before it had the lock
    try:
        run.folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise errors.TestbedError(
            f"a cluster named {run.name} runs already; end it with `foresail-testbed down --name {run.name}` "
            "or choose another name"
            if alive(run)
            else f"{run.folder} is there and is no cluster's: remove it or choose another name"
        ) from error
    lock = run.lock.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def alive(run: layout.Run) -> bool:
    """Tell whether a keeper holds the run."""
    return locks.taken(run.lock)


def remove_stale() -> None:
    """Remove what runs whose keeper was killed have left: empty groups and files."""
    for folder in layout.runs_folder().iterdir():
        run = layout.Run(folder)
        if run.lock.exists() and not alive(run):
            clear(run)


def clear(run: layout.Run) -> None:
    """Remove a dead run's groups and files."""
    cgroups.remove(run.name)
    shutil.rmtree(run.folder, ignore_errors=True)
