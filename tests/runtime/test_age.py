"""How old a process is, from outside and from inside."""

from __future__ import annotations

import subprocess
import sys
import time

from foresail_runtime import age


def test_a_process_knows_how_long_ago_it_was_started() -> None:
    began = time.monotonic()
    program = "from foresail_runtime import age; print(age.seconds())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0.0 < float(done.stdout) <= time.monotonic() - began + 0.02  # a clock tick is a hundredth of a second


def test_it_grows() -> None:
    first = age.seconds()
    assert age.seconds() >= first
