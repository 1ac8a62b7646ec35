"""Show a long step while it runs: a bar on a terminal, a line now and then elsewhere."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foresail_testbed import errors

BAR = 24
TICK_SECONDS = 0.5
QUIET_SECONDS = 30.0


def follow(
    label: str, command: list[str], folder: Path, environment: dict[str, str], expected: float, limit: float
) -> None:
    """Run a command to its end; raises TestbedError with the end of its output if it fails or takes too long."""
    with tempfile.TemporaryFile("w+") as output:
        work = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_visibly(label, work, expected, limit)
        finally:
            work.kill()
            work.wait()
        if work.returncode != 0:
            output.seek(0)
            raise errors.TestbedError(f"{label} failed:\n{output.read()[-3000:]}")


def wait_visibly(label: str, work: subprocess.Popen[bytes], expected: float, limit: float) -> None:
    """Wait for a process and show how far it should be."""
    began = time.monotonic()
    shown = began - QUIET_SECONDS
    terminal = sys.stderr.isatty()
    while True:
        elapsed = time.monotonic() - began
        if elapsed > limit:
            raise errors.TestbedError(f"{label} took more than {limit:.0f} s")
        if terminal:
            sys.stderr.write(f"\r\033[K{line(label, elapsed, expected)}")
        elif time.monotonic() - shown >= QUIET_SECONDS:
            shown = time.monotonic()
            sys.stderr.write(line(label, elapsed, expected) + "\n")
        sys.stderr.flush()
        try:
            work.wait(TICK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        sys.stderr.write(f"{chr(13) if terminal else ''}{label}: {time.monotonic() - began:.0f} s\n")
        return


def line(label: str, elapsed: float, expected: float) -> str:
    """Return a bar that fills towards the expected time and stays short of full once that has passed."""
    share = min(elapsed / expected, 0.97) if expected else 0.0
    filled = int(BAR * share)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {label}: {elapsed:.0f} s of about {expected:.0f} s"
