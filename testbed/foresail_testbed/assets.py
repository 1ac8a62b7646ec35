"""Find every program of a cluster: in the folder given by the user, or built."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from foresail_testbed import build, errors, layout, options, programs


def provide(wish: options.Options, listener: Callable[[str], None]) -> dict[str, str]:
    """Return the path of each program (and file) that a cluster of this shape needs, building what is missing."""
    found: dict[str, str] = {"kubectl": find_kubectl()}
    for program in programs.needed(wish):
        found.update(locate(program, listener))
    return found


def locate(program: programs.Program, listener: Callable[[str], None]) -> dict[str, str]:
    """Return the paths of one program's files."""
    given = os.environ.get(layout.ASSETS_VARIABLE)
    folder = Path(given) if given else build.ensure(program, listener)
    names = (*program.files, *program.keep)
    lacking = [name for name in names if not (folder / name).exists() and name != "kubernetes"]
    if lacking:
        raise errors.TestbedError(
            f"{folder} lacks {', '.join(lacking)}: put them there or unset {layout.ASSETS_VARIABLE}"
        )
    return {name: str(folder / name) for name in names}


def find_kubectl() -> str:
    """Return kubectl's path: beside this Python (from its lock file), else on PATH."""
    beside = Path(sys.executable).parent
    found = shutil.which("kubectl", path=f"{beside}:{os.environ.get('PATH', '')}")
    if found is None:
        raise errors.TestbedError("kubectl is missing: run `make install`, which puts it into .venv")
    return found
