"""The operator's memory over the whole run, and whether it is flat once the operator is warm.

In its first minutes an operator meets each kind of work for the first time and learns what the cluster has; what it
keeps of that is no leak. Of all that follows WARM_UP_SECONDS the slope counts (a straight line, by least squares), so
neither the first look nor the last one decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.scaling.stage import Usage

WARM_UP_SECONDS: Final = 300.0
LEAST_SECONDS: Final = 600.0
"""Of what follows the warm-up: the slope of less says nothing, so there is none."""
LOOK_SECONDS: Final = 5.0
_MIB: Final = 2**20


def line(usages: Sequence[Usage]) -> list[tuple[float, float]]:
    """Return what was seen as seconds since the first look, and MiB."""
    return [(usage.at - usages[0].at, usage.resident_bytes / _MIB) for usage in usages]


def trend(looks: list[tuple[float, float]]) -> dict[str, float | None]:
    """Return the MiB at the first look, after the warm-up and at the last look, and the slope since the warm-up.

    The slope, in MiB an hour and in per cent of the level after the warm-up, is None where too little follows that.
    """
    later = [look for look in looks if look[0] >= WARM_UP_SECONDS]
    found: dict[str, float | None] = {
        "mebibytes_first": round(looks[0][1], 1) if looks else None,
        "mebibytes_warm": round(later[0][1], 1) if later else None,
        "mebibytes_last": round(looks[-1][1], 1) if looks else None,
        "mebibytes_an_hour": None,
        "percent_an_hour": None,
    }
    if not later or later[-1][0] - later[0][0] < LEAST_SECONDS:
        return found
    at, mebibytes = np.array(later).T
    slope, level = np.polyfit(at - at[0], mebibytes, 1)
    hourly = 3600 * float(slope)
    return found | {
        "mebibytes_an_hour": round(hourly, 2),
        "percent_an_hour": round(100 * hourly / float(level), 1),
    }
