"""A base image made from Debian's packages, for machines that reach no container registry."""

import hashlib
import json
import subprocess
from pathlib import Path

from foresail_testbed import archive, drafts, errors, host, layout, locks, namespaces, progress

SUITE = "trixie"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
TAG = "localhost/foresail-base"
# What no program reads; without it the image is a third smaller.
LITTER = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale", "tmp")
SECONDS = 40
LIMIT_SECONDS = 1800.0


def key() -> str:
    """Return a digest of the recipe: the same recipe is not made twice."""
    recipe = [SUITE, PACKAGES, LITTER, archive.architecture()]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def tag() -> str:
    """Return the base image's name."""
    return f"{TAG}:{key()}"


def ensure() -> Path:
    """Return the base image's archive, made now if it isn't there; needs root and Debian's package servers."""
    target = layout.cache_folder() / "images" / f"base-{key()}.tar"
    if target.exists():
        return target
    host.require_images()
    target.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(target.parent / "base.lock", "the base image"):
        if not target.exists():
            with namespaces.at_home():
                make(target)
    return target


def make(target: Path) -> None:
    """Bootstrap Debian into a folder and pack it."""
    with drafts.folder(target.parent, "base") as scratch:
        root, layer = scratch / "root", scratch / "layer.tar"
        include = f"--include={','.join(PACKAGES)}"
        command = ["debootstrap", "--variant=minbase", include, SUITE, str(root), *find_mirror()]
        progress.follow(progress.Step("base image from Debian's packages", SECONDS, LIMIT_SECONDS), command)
        for place in LITTER:
            empty(root / place)
        pack(root, layer)
        archive.write(target, tag(), layer, {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/bin:/usr/sbin:/bin:/sbin"]})


def find_mirror() -> list[str]:
    """Return the package server that this machine uses for the suite; none: debootstrap's own default."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(ORIGIN) $(SITE)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return mirror_of(done.stdout)


def mirror_of(table: str) -> list[str]:
    """Read the first server of Debian itself for the suite: others name their packages for it as well."""
    return next((row.split()[2:] for row in table.splitlines() if row.split()[:2] == [SUITE, "Debian"]), [])


def empty(folder: Path) -> None:
    """Remove what is in a folder, but not the folder."""
    done = subprocess.run(
        ["find", str(folder), "-mindepth", "1", "-delete"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise errors.TestbedError(f"{folder} could not be emptied: {done.stderr.strip()}")


def pack(root: Path, layer: Path) -> None:
    """Pack a file tree as a layer, without dates and names of users, so that equal trees give equal layers."""
    command = ["tar", "--sort=name", "--mtime=@0", "--numeric-owner", "--xattrs", "-C", str(root), "-cf", str(layer)]
    subprocess.run([*command, "--exclude=./dev/*", "."], check=True, capture_output=True, timeout=LIMIT_SECONDS)
