"""How many requests a replica should hold, when the owner did not say."""

from __future__ import annotations

import math
from typing import Final

WAIT_SECONDS: Final = 0.1
"""A request that meets a replica at its target waits about this long, or one run where a run takes longer."""
HEADROOM: Final = 0.7
"""The share of it that is used, so that there is room while the next replica starts."""
SHORTEST_SECONDS: Final = 1e-9
"""A run that took less was not measured."""
REQUEST_SECONDS: Final = 0.0002
"""What a request costs a replica beside its share of a run: reading, decoding, answering, on one core for all.

Of a model of microseconds this is nearly everything: by its runs alone such a replica would answer a million a second.
"""
PERIOD_SECONDS: Final = 0.1
"""In each the kernel lets a container with a CPU limit use that many core-seconds, then holds it up to the next one."""
UNKNOWN: Final = 4.0
"""Until a pod has measured itself: enough to keep two cores busy, little enough to grow early."""


def concurrency(
    batch_size: int | None, batch_seconds: float | None, queue_size: int, cores: float | None = None
) -> float:
    """Return the in-flight target that a pod's measured best batch gives.

    A pod that runs `batch_size` rows in `batch_seconds` answers so many a second; the target is what it answers
    within WAIT_SECONDS or within one run, whichever is longer, and no more than `queue_size`, beyond which it refuses;
    less the headroom. Never under 1. `cores` is the CPU limit, None where there is none: what was measured is the best
    of a few runs, which is not held up where the next one, or the tenth, is.
    """
    if not batch_size or not batch_seconds or batch_seconds < SHORTEST_SECONDS:
        held = UNKNOWN / HEADROOM
    else:
        run_seconds = _sustained(batch_seconds, cores)
        rate = batch_size / (run_seconds + batch_size * REQUEST_SECONDS / min(1.0, cores or 1.0))
        held = rate * max(WAIT_SECONDS, run_seconds)
    return max(1.0, float(round(HEADROOM * min(held, queue_size))))


def _sustained(seconds: float, cores: float | None) -> float:
    """Return how long a run takes in the mean of many, one after the other, under a CPU limit.

    A run has as many threads as the limit has cores, rounded up, so that they are let run for a share of the time. One
    that was measured to take longer than what a period lets run was held up then, or began late in one.
    """
    if not cores:
        return seconds
    share = cores / math.ceil(cores)
    return max(seconds, min(seconds, PERIOD_SECONDS * share) / share)
