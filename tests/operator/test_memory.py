"""What is given back of memory that nobody uses any more."""

from __future__ import annotations

import os
from pathlib import Path

from foresail_operator import memory

SIZE = 1000
"""Bytes of an object that the C library has to find a place for."""


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_lies_below_something_that_stays_is_given_back() -> None:
    gone = [bytes(SIZE) for _ in range(30_000)]
    stays = bytes(SIZE)
    gone.clear()
    before = resident()
    memory.release()
    assert before - resident() > 20_000 * SIZE
    assert len(stays) == SIZE
