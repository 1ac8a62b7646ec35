"""The memory limit as cgroups of both versions have it."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from foresail_runtime.engine import memory

if TYPE_CHECKING:
    import pathlib


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1073741824\n"}, 2**30),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/a/b\n", {"a/memory.max": "1000\n", "a/b/memory.max": "2000\n"}, 1000),
        ("5:memory:/a\n", {"memory/a/memory.limit_in_bytes": "4096\n"}, 4096),
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("5:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "4096\n"}, None),
        ("", {}, None),
    ],
    ids=["version 2", "none", "the tightest holds", "version 1", "version 1's none", "another group's", "nothing"],
)
def test_the_tightest_limit_of_our_groups_holds(
    tmp_path: pathlib.Path, own: str, files: dict[str, str], limit: int | None
) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory.limit(tmp_path / "root", tmp_path / "own") == limit


def test_what_is_large_is_given_back_to_the_system_with_glibc() -> None:
    if platform.libc_ver()[0] != "glibc":
        assert not memory.give_back_large()
        return
    program = (
        "import os\n"
        "from foresail_runtime.engine import memory\n"
        "memory.give_back_large()\n"
        "blocks = [bytearray(20 * 2**20) for _ in range(8)]\n"
        "for block in blocks: block[::4096] = bytes(5120)\n"
        "del blocks, block\n"
        "print(open('/proc/self/statm').read().split()[1])\n"
    )
    pages = int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)
    assert pages * resource.getpagesize() < 64 * 2**20, "of 160 MiB that were held"


def test_what_is_absurd_is_refused_whatever_the_kernel_promises() -> None:
    program = (
        "import resource, sys\n"
        "from foresail_runtime.engine import memory\n"
        "memory.refuse_absurd(2**28)\n"
        "bytearray(2**28)\n"
        "print(resource.getrlimit(resource.RLIMIT_DATA)[0])\n"
        "import numpy\n"
        "numpy.empty(2**31, numpy.uint8)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert int(done.stdout) == 2**29 + memory.BESIDE_BYTES
    assert "MemoryError" in done.stderr
