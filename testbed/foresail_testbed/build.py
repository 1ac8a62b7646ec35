"""Build Go programs once and keep them in the cache, where nothing half done is ever seen."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from foresail_testbed import drafts, errors, golang, layout, locks, namespaces, programs, progress

BUILD_SECONDS = 3600.0


def ensure(program: programs.Program, listener: Callable[[str], None] = lambda _: None) -> Path:
    """Return the folder of a program's files, built now if they aren't there.

    Raises TestbedError when Go is missing and can't be had, or when the build fails.
    """
    source = find_source(program)
    target = layout.cache_folder() / "programs" / folder_name(program, source)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(target.parent / f"{program.name}.lock", program.name):
        if not target.exists():
            listener(f"building {program.name} {program.version}, once")
            with namespaces.at_home():
                build_into(target, program, source)
    return target


def find_source(program: programs.Program) -> list[Path]:
    """Return the files of the program's module; raises TestbedError for a version that has none."""
    folder = Path(__file__).parents[1] / "programs" / program.name
    modules = folder / program.module_folder
    if not (modules / "go.mod").exists():
        known = sorted(path.parent.name.lstrip("v") for path in folder.glob("v*/go.mod"))
        raise errors.TestbedError(
            f"{program.name} {program.version} can't be built, only {', '.join(known)}: "
            f"add go.mod and go.sum under testbed/programs/{program.name}/v{program.version}"
        )
    return [modules / "go.mod", modules / "go.sum", *sorted(folder.glob("*.go"))]


def folder_name(program: programs.Program, source: list[Path]) -> str:
    """Return a name that changes whenever what is built would."""
    digest = hashlib.sha256()
    recipe = [program.packages, program.links, program.ldflags, program.keep]
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    for path in source:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return f"{program.name}-{program.version}-{digest.hexdigest()[:12]}"


def build_into(target: Path, program: programs.Program, source: list[Path]) -> None:
    """Build beside the target and rename, so that the target is whole or not there."""
    go = golang.find()
    with drafts.folder(target.parent, f"building-{program.name}") as scratch:
        module, draft = scratch / "module", scratch / "out"
        module.mkdir()
        draft.mkdir()
        for path in source:
            shutil.copy(path, module)
        for name, package in program.packages.items():
            compile_package(go, module, draft / name, package, program)
        for link in program.links:
            (draft / link).symlink_to(next(iter(program.packages)))
        for name, place in program.keep.items():
            keep_files(go, module, draft / name, place)
        draft.rename(target)


def compile_package(go: str, module: Path, output: Path, package: str, program: programs.Program) -> None:
    """Compile one program, exactly the versions in go.sum, for any Linux of this processor."""
    command = [go, "build", "-mod=readonly", "-trimpath", f"-ldflags={program.ldflags}", "-o", str(output), package]
    share = program.seconds / len(program.packages)
    step = progress.Step(f"building {output.name} {program.version}", share, BUILD_SECONDS)
    progress.follow(step, command, module, environment())


def environment() -> dict[str, str]:
    """Return Go's environment: no C, no other toolchain than the one found."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}


def keep_files(go: str, module: Path, target: Path, place: str) -> None:
    """Copy files that a module brings beside its code; the module cache is read-only, the copy is not."""
    name, path = place.split(":")
    done = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", name],
        cwd=module, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    shutil.copytree(Path(done.stdout.strip()) / path, target, copy_function=shutil.copyfile)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)
