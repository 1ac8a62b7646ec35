"""How old this process is: what came before our first line, Python itself and its imports, is part of a start."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_STARTED_FIELD: Final = 22
"""Of /proc/self/stat, as proc(5) counts: clock ticks after boot."""
_FIRST_LINE: Final = time.monotonic()


def seconds() -> float:
    """Return the age; where there is no /proc, the time since this module was imported."""
    try:
        text = Path("/proc/self/stat").read_text()
        after_name = text.rpartition(")")[2].split()  # the name may have spaces and brackets in it
        started = int(after_name[_STARTED_FIELD - 3]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, AttributeError, ValueError):
        return time.monotonic() - _FIRST_LINE
