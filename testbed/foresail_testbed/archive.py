"""Write an image as a `docker save` archive: a layer, a configuration and a table of contents."""

import hashlib
import io
import json
import os
import platform
import tarfile
from pathlib import Path
from typing import Any

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Return this machine's processor as images name it."""
    return MACHINES.get(platform.machine(), platform.machine())


def write(target: Path, tag: str, layer: Path, settings: dict[str, Any]) -> None:
    """Write an image of one layer (a tar file); it appears whole or not at all."""
    with layer.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": settings,
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "foresail-testbed"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    encoded = json.dumps(config).encode()
    name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    contents = [{"Config": name, "RepoTags": [tag], "Layers": [f"{digest}.tar"]}]
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(draft, "w") as output:
        add_bytes(output, name, encoded)
        output.add(layer, f"{digest}.tar")
        add_bytes(output, "manifest.json", json.dumps(contents).encode())
    draft.rename(target)


def write_program(target: Path, tag: str, program: Path) -> None:
    """Write an image that holds nothing but one static program, its entry point."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, "w") as output:
        add_bytes(output, program.name, program.read_bytes(), mode=0o755)
    write(target, tag, layer, {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"})
    layer.unlink()


def add_bytes(output: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Add a file to a tar; without a date, so that equal contents give equal archives."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    output.addfile(entry, io.BytesIO(content))
