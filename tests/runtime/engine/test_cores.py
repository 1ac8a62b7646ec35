"""The CPU limit as the kernel's files tell it."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING

import pytest

from foresail_runtime.engine import cores

if TYPE_CHECKING:
    import pathlib

CASES: dict[str, tuple[dict[str, str], str, int]] = {
    "no limit": ({"cpu.max": "max 100000"}, "0::/", 8),
    "no files": ({}, "", 8),
    "version 2, a core and a half is two threads": ({"cpu.max": "150000 100000"}, "0::/", 2),
    "version 2, less than a core is one": ({"cpu.max": "10000 100000"}, "0::/", 1),
    "version 2, more than there are": ({"cpu.max": "6400000 100000"}, "0::/", 8),
    "version 2, our own group": ({"kubepods/pod1/cpu.max": "300000 100000"}, "0::/kubepods/pod1", 3),
    "version 2, a group above ours": (
        {"kubepods/cpu.max": "200000 100000", "kubepods/pod1/cpu.max": "max 100000"},
        "0::/kubepods/pod1",
        2,
    ),
    "version 1": ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, "", 3),
    "version 1 without a limit": ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", 8),
    "version 1, our own group": (
        {"cpu/docker/x/cpu.cfs_quota_us": "100000", "cpu/docker/x/cpu.cfs_period_us": "100000"},
        "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x",
        1,
    ),
    "rubbish": ({"cpu.max": "many"}, "0::/", 8),
    "a period of zero": ({"cpu.max": "100000 0"}, "0::/", 8),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_tightest_limit_holds(tmp_path: pathlib.Path, case: tuple[dict[str, str], str, int]) -> None:
    files, own, expected = case
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    group = tmp_path / "self"
    group.write_text(own)
    assert cores.limit(tmp_path / "cgroup", group, 8) == expected


def test_parts_of_a_core_are_told_where_there_is_a_limit(tmp_path: pathlib.Path) -> None:
    assert cores.share(tmp_path, tmp_path / "self") is None
    (tmp_path / "cpu.max").write_text("25000 100000\n")
    assert cores.share(tmp_path, tmp_path / "self") == 0.25


def test_this_machine_has_at_least_one() -> None:
    assert cores.available() >= 1


def test_a_polite_thread_and_those_it_starts_step_back_and_no_other_does() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def among_the_polite() -> tuple[int, int]:
        cores.be_polite()
        with concurrent.futures.ThreadPoolExecutor(1) as inner:
            return nice(), inner.submit(nice).result()

    before = nice()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        own, child = executor.submit(among_the_polite).result()
    assert own == child == min(19, before + cores.POLITE)
    assert nice() == before
