"""The first process of a container is deaf to signals that it has no handler for."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

PATIENCE = 30.0


@pytest.mark.cluster  # for a process id of 1 it takes Linux and root, as a cluster does
def test_it_hears_from_its_first_import_on_that_it_is_to_end() -> None:
    program = "import foresail_runtime, time; print('imported', flush=True); time.sleep(60)"
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "imported\n"
            (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(child), signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


@pytest.mark.cluster
def test_who_hears_already_goes_on_to_hear_in_his_own_way() -> None:
    program = "import signal; signal.signal(15, print); import foresail_runtime; print(signal.getsignal(15) is print)"
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def test_any_other_process_keeps_its_own_ways() -> None:
    program = (
        "import signal; before = signal.getsignal(15); import foresail_runtime; print(signal.getsignal(15) is before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
