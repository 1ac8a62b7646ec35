"""What may end the demo early, and the sentence for each."""

from __future__ import annotations

import subprocess
import urllib.error
from typing import Final

from demo.places import CommandError
from foresail_testbed.errors import TestbedError

EXPECTED: Final = (CommandError, TestbedError, OSError, subprocess.SubprocessError, RuntimeError)
"""A request that fails is an OSError, as is a TimeoutError; another exception is the demo's own mistake."""


def explain(error: Exception) -> str:
    """Return what failed; our own errors say it themselves."""
    match error:
        case urllib.error.HTTPError():
            return f"{error.filename} answered {error.code} {error.reason}"
        case urllib.error.URLError():
            return f"a request to the model got no answer: {error.reason}"
        case subprocess.CalledProcessError():
            return f"`{_line(error.cmd)}` failed with status {error.returncode}"
        case subprocess.TimeoutExpired():
            return f"`{_line(error.cmd)}` took more than {error.timeout:.0f} s"
        case _:
            return str(error) or type(error).__name__


def _line(command: str | list[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)
