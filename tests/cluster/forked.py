"""Operators for a quarter of the processor's time: forked from a server that has imported what they are made of."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from foresail_testbed.process import STOP_SECONDS

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["__main__", "foresail_operator.__main__"])
_PR_SET_PDEATHSIG: Final = 1


class Operator:
    """A process of `python -m foresail_operator`, in the network that this thread was in when the first one began."""

    def __init__(self, environment: Mapping[str, str], log: pathlib.Path) -> None:
        self._process = _CONTEXT.Process(target=_run, args=(dict(environment), log), daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.exitcode

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        if self._process.pid is not None and self.returncode is None:
            os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it by SIGTERM, where that takes too long by SIGKILL."""
        self.signal(signal.SIGTERM)
        self._process.join(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.signal(signal.SIGKILL)
        self._process.join()


def _run(environment: dict[str, str], log: pathlib.Path) -> None:
    """Be the operator, for as long as the server lives, which lives as long as the tests."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["foresail-operator"]
    from foresail_operator import __main__ as program  # noqa: PLC0415  # has been imported by the server

    program.main()
