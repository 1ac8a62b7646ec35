"""Build a Dockerfile's image with buildah, once for each state of the files it copies."""

import configparser
import dataclasses
import functools
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from foresail_testbed import (
    archive,
    base_image,
    dockerfile,
    drafts,
    errors,
    host,
    layout,
    locks,
    namespaces,
    progress,
    runs,
)

KEPT_ARCHIVES = 3
LIMIT_SECONDS = 3600.0
CERTIFICATES = "/etc/ssl/certs"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What an image is made of."""

    file: Path
    tag: str
    context: Path
    arguments: tuple[tuple[str, str], ...] = ()

    def digest(self) -> str:
        """Return a digest of all that the image depends on: Dockerfile, arguments, the files copied, the base."""
        text = self.file.read_text()
        whole = hashlib.sha256(json.dumps([text, self.tag, self.arguments, archive.architecture()]).encode())
        for path in dockerfile.copied_files(text, self.context):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            mode = path.stat().st_mode & 0o111
            whole.update(f"{path.relative_to(self.context)} {mode} {content}\n".encode())
        return whole.hexdigest()[:12]


def ensure(file: Path, tag: str, arguments: Mapping[str, str] | None = None, context: Path | None = None) -> Path:
    """Return the archive of a Dockerfile's image, built now if it or what it copies has changed.

    `BASE` is our own base image unless given. Raises TestbedError with the end of the build's output if it fails.
    """
    given = dict(arguments or {})
    given.setdefault("BASE", base_image.tag())
    folder = (context or file.parent).resolve()
    recipe = Recipe(file.resolve(), tag, folder, tuple(sorted(given.items())))
    stem = tag.rpartition("/")[2].replace(":", "-")
    target = layout.cache_folder() / "images" / f"{stem}-{recipe.digest()}.tar"
    if target.exists():
        target.touch()
        return target
    host.require_images()
    target.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(target.parent / ".lock", "an image"):
        if not target.exists():
            with namespaces.at_home():
                build_into(target, recipe)
        remove_old(target, stem)
    return target


def build_into(target: Path, recipe: Recipe) -> None:
    """Build, write the archive beside its place and rename."""
    run_buildah("rm", "--all")  # what a build that was killed left behind, for the lock lets nobody else build
    load_base(recipe)
    command = [*buildah(), "bud", "--isolation=oci", f"--runtime={host.find('runc')}", "--network=host"]
    command += [
        "--pull-never",
        "--layers",
        "--force-rm",
        "--format=docker",
        f"--file={recipe.file}",
        f"--tag={recipe.tag}",
    ]
    command += [f"--build-arg={name}={value}" for name, value in recipe.arguments]
    with drafts.folder(target.parent, "building") as scratch:
        command += [f"--volume={volume}" for volume in volumes(scratch)]
        progress.follow(progress.Step(f"image {recipe.tag}", 90, LIMIT_SECONDS), [*command, str(recipe.context)])
        draft = scratch / "image.tar"
        run_buildah("push", recipe.tag, f"docker-archive:{draft}:{recipe.tag}")
        draft.rename(target)
    run_buildah("rmi", "--prune")  # former builds of this tag; the layers that the next build starts from stay


def load_base(recipe: Recipe) -> None:
    """Put the base image into the builder's store, if the recipe uses ours and it isn't there."""
    base = dict(recipe.arguments)["BASE"]
    if base != base_image.tag():
        return
    path = base_image.ensure()
    present = subprocess.run([*buildah(), "inspect", "--type=image", base], capture_output=True, check=False)
    if present.returncode != 0:
        run_buildah("pull", f"docker-archive:{path}")


def volumes(scratch: Path) -> list[str]:
    """Return what of this machine a build may see: its certificate authorities and where its pip finds packages.

    They are mounted for the build only; nothing of them gets into the image.
    """
    settings = scratch / "pip.conf"
    settings.write_text(pip_settings(os.environ, read_pip()))
    cache = layout.cache_folder() / "pip"
    cache.mkdir(parents=True, exist_ok=True)
    found = [f"{settings}:/etc/pip.conf:ro", f"{cache}:/root/.cache/pip"]
    return [*found, f"{CERTIFICATES}:{CERTIFICATES}:ro"] if Path(CERTIFICATES).is_dir() else found


def read_pip() -> list[str]:
    """Return the machine's own pip settings, those of all users first, then root's."""
    places = (Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf")
    return [place.read_text() for place in places if place.exists()]


def pip_settings(environment: Mapping[str, str], files: list[str]) -> str:
    """Build the build's pip.conf: the machine's own files, and over them the index that the environment names."""
    settings = configparser.RawConfigParser()
    for text in files:
        settings.read_string(text)
    names = {"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url", "PIP_TRUSTED_HOST": "trusted-host"}
    given = {option: environment[name] for name, option in names.items() if environment.get(name)}
    settings.read_dict({"global": given})
    written = io.StringIO()
    settings.write(written)
    return written.getvalue()


@functools.cache
def buildah() -> tuple[str, ...]:
    """Return buildah with a store of our own in the cache; plain copies where the disk can't do overlays.

    It runs in a mount namespace of its own with its notes about mounts in memory, so that no mount stays behind it.
    """
    store, notes = layout.cache_folder() / "containers", runs.make_folder() / ".containers"
    notes.mkdir(mode=0o700, exist_ok=True)
    script = f'mount -t tmpfs tmpfs "{notes}" && exec "$@"'
    base = ("unshare", "--mount", "sh", "-c", script, "sh", "buildah", f"--root={store}", f"--runroot={notes}")
    works = subprocess.run([*base, "--storage-driver=overlay", "info"], capture_output=True, check=False)
    return (*base, f"--storage-driver={'overlay' if works.returncode == 0 else 'vfs'}")


def run_buildah(*words: str) -> None:
    """Run a short buildah command; raises TestbedError with its words if it fails."""
    done = subprocess.run([*buildah(), *words], capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    if done.returncode != 0:
        raise errors.TestbedError(f"buildah {words[0]} failed: {done.stderr.strip()[-1500:]}")


def remove_old(newest: Path, stem: str) -> None:
    """Keep the last few archives of an image; a cache that only grows fills the disk."""
    found = sorted(newest.parent.glob(f"{stem}-{'?' * 12}.tar"), key=lambda path: path.stat().st_mtime)
    for path in found[:-KEPT_ARCHIVES]:
        path.unlink()
