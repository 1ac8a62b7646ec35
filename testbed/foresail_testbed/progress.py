"""Show a long step while it runs: a bar on a terminal, a line now and then elsewhere."""

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from foresail_testbed import errors

BAR = 24
TICK_SECONDS = 0.5
QUIET_SECONDS = 30.0
NEWLINE = "\n"


@dataclasses.dataclass(frozen=True)
class Step:
    """A long step: what it is called, how long it should take and how long it may take."""

    label: str
    expected_seconds: float
    limit_seconds: float


def follow(
    step: Step, command: list[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run a command to its end; raises TestbedError with the end of its output if it fails or takes too long."""
    with tempfile.TemporaryFile("w+") as output:
        work = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_visibly(step, work)
        finally:
            work.kill()
            work.wait()
        if work.returncode != 0:
            output.seek(0)
            raise errors.TestbedError(f"{step.label} failed:\n{output.read()[-3000:]}")


def wait_visibly(step: Step, work: "subprocess.Popen[bytes]") -> None:
    """Wait for a process and show how far it should be."""
    began = time.monotonic()
    shown = began
    terminal = sys.stderr.isatty()
    show(line(step, 0.0), terminal)
    while True:
        try:
            work.wait(TICK_SECONDS)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now - began > step.limit_seconds:
                raise errors.TestbedError(f"{step.label} took more than {step.limit_seconds:.0f} s") from None
            if terminal or now - shown >= QUIET_SECONDS:
                shown = now
                show(line(step, now - began), terminal)
        else:
            show(f"{step.label}: {time.monotonic() - began:.0f} s{NEWLINE if terminal else ''}", terminal)
            return


def show(text: str, terminal: bool) -> None:
    """Write a line, over the last one on a terminal."""
    sys.stderr.write(f"\r\033[K{text}" if terminal else f"{text}\n")
    sys.stderr.flush()


def line(step: Step, elapsed: float) -> str:
    """Return a bar that fills towards the expected time and stays short of full once that has passed."""
    share = min(elapsed / step.expected_seconds, 0.97) if step.expected_seconds else 0.0
    filled = int(BAR * share)
    bar = f"[{'#' * filled}{'.' * (BAR - filled)}]"
    return f"{bar} {step.label}: {elapsed:.0f} s of about {step.expected_seconds:.0f} s"
