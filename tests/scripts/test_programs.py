"""scripts/helm and scripts/kind where the program is not there and can't be built."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["helm", "kind"])
def test_build_that_fails_is_all_that_is_told(tmp_path: pathlib.Path, name: str) -> None:
    for folder in ("scripts", ".venv/bin", "path"):
        (tmp_path / folder).mkdir(parents=True)
    script = shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    builder = tmp_path / ".venv" / "bin" / "foresail-testbed"
    builder.write_text('#!/bin/sh\necho "foresail-testbed: no $2 today" >&2\nexit 1\n')
    builder.chmod(0o755)
    for needed in ("bash", "dirname", "tail"):
        (tmp_path / "path" / needed).symlink_to(shutil.which(needed) or os.devnull)
    done = subprocess.run(
        [script, "version"], env={"PATH": f"{tmp_path}/path"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, f"foresail-testbed: no {name} today\n")
