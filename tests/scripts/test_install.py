"""`make install` behind a mirror: what pip is told, uv is told."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
UV_NAMES = ("UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INSECURE_HOST", "SSL_CERT_FILE")
ENVIRONMENT = {
    "PIP_INDEX_URL": "http://mirror/simple",
    "PIP_EXTRA_INDEX_URL": "http://other/simple",
    "PIP_FIND_LINKS": "/wheels /more",
    "PIP_TRUSTED_HOST": "mirror other",
    "PIP_NO_INDEX": "1",
    "PIP_CERT": "/ca.pem",
}
SETTINGS = {
    "index-url": "http://mirror/simple",
    "extra-index-url": "http://other/simple",
    "find-links": "/wheels\n/more",
    "trusted-host": "mirror\nother",
    "no-index": "1",
    "cert": "/ca.pem",
}
TOLD = ["http://mirror/simple", "http://other/simple", "/wheels,/more", "mirror other", "/ca.pem"]


def put(path: pathlib.Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("environment", "settings", "told"),
    [(ENVIRONMENT, {}, TOLD), ({}, SETTINGS, TOLD), ({}, {}, ["(unset)"] * 5)],
    ids=["by the environment", "by pip.conf", "nothing"],
)
def test_uv_is_told_where_packages_come_from_as_pip_is(
    tmp_path: pathlib.Path, environment: dict[str, str], settings: dict[str, str], told: list[str]
) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    known = [f"*' global.{name}') printf '%s\\n' '{value}';;" for name, value in settings.items()]
    put(venv / "bin" / "python", 'case " $*" in', *known, "*' config get '*) exit 1;;", "esac")
    put(
        venv / "bin" / "uv",
        *(f'echo "${{{name}-(unset)}}" >>{tmp_path}/{name}' for name in UV_NAMES),
        f'echo "$@" >>{tmp_path}/flags',
    )
    given = {"PATH": os.environ["PATH"], **environment}
    subprocess.run([ROOT / "scripts" / "install", venv], env=given, check=True, capture_output=True)
    assert [(tmp_path / name).read_text().splitlines()[0] for name in UV_NAMES] == told
    assert all(
        ("--no-index" in line) == bool(environment or settings)
        for line in (tmp_path / "flags").read_text().splitlines()
    )
