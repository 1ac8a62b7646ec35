"""Signals to a process, and to one behind `nsenter`, which needs no cluster: it enters the namespaces that it is in."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from typing import TYPE_CHECKING

import pytest

from foresail_testbed import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def state(pid: int) -> str:
    """Return the letter that the kernel has for what a process does; T is stopped."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def frozen() -> Iterator[process.Inside]:
    """Return a process that was stopped, and whose `nsenter` has stopped with it."""
    inside = process.Inside(["nsenter", "-t", str(os.getpid()), "-p", "--", "sleep", "60"], os.environ, None)
    eventually(lambda: bool(inside.pids()))
    inside.signal(signal.SIGSTOP)
    eventually(lambda: state(inside._outer.pid) == "T")
    yield inside
    inside.kill()


def test_a_process_that_was_frozen_and_woken_ends_on_sigterm(frozen: process.Inside) -> None:
    frozen.signal(signal.SIGCONT)
    assert frozen.stop(5) == -signal.SIGTERM


def test_a_frozen_process_can_be_killed(frozen: process.Inside) -> None:
    frozen.signal(signal.SIGKILL)
    assert frozen.wait(5) == -signal.SIGKILL


def test_process_of_a_foreign_cluster_gets_the_signals_itself() -> None:
    with process.Inside(["sleep", "60"], os.environ, None) as plain:
        assert plain.pids() == [plain._outer.pid]
        assert plain.stop(5) == -signal.SIGTERM
        assert plain.pids() == []
