"""Virtual environments for other projects' clients, made once from a lock and kept in the user's cache folder.

Their dependencies contradict each other's and ours, so each lock has an environment, named after the lock's digest:
a changed lock makes a new one, and the second run finds it there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = pathlib.Path(__file__).parents[2]
_COMPLETE: Final = ".complete"
_SECONDS: Final = 900


def python(lock: str) -> pathlib.Path:
    """Return the interpreter of the environment that `locks/<lock>.txt` describes, made if it isn't there yet."""
    path = ROOT / "locks" / f"{lock}.txt"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    folder = _cache() / f"{lock}-{digest}-{sys.version_info[0]}.{sys.version_info[1]}"
    with _locked(folder.with_suffix(".lock")):
        if not (folder / _COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, path)
            (folder / _COMPLETE).touch()
    return folder / "bin" / "python"


def debian_library(package: str) -> pathlib.Path:
    """Return the folder of a Debian package's libraries, unpacked in the cache; nothing is installed."""
    folder = _cache() / package
    with _locked(folder.with_suffix(".lock")):
        if not (folder / _COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _run(["apt-get", "download", package], folder)
            (archive,) = folder.glob("*.deb")
            _run(["dpkg", "-x", str(archive), str(folder)], folder)
            (folder / _COMPLETE).touch()
    return next(folder.rglob("*.so*")).parent


def _make(folder: pathlib.Path, lock: pathlib.Path) -> None:
    _run([sys.executable, "-m", "venv", str(folder)], ROOT)
    # The lock is complete: nothing to resolve. Compiling all of it would take longer than installing it.
    words = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-compile"]
    words += ["--require-hashes", "--only-binary=:all:", "-r", str(lock)]
    _run([str(folder / "bin" / "python"), *words], ROOT)


def _run(words: Sequence[str], folder: pathlib.Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(words)}` failed: {done.stderr.strip()[-2000:]}")


def _cache() -> pathlib.Path:
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "foresail" / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two test runs of one user make an environment once
        yield
