"""One number of a model, made fit to steer by: quick to rise, slow to fall, deaf to chance.

Two windows look at the samples. The stable one gives the level; the burst one takes over at once when it differs by
more than chance explains, and chance is known: requests that come independently and stay `stay_seconds` each make a
count whose mean over T seconds has the variance `mean * min(1, 2 * stay_seconds / T)` (a Poisson process seen through
a window). The highest level of the scale-down delay is what is served. When the last minute's highest differs from
it by no more than chance, the minute's is served instead, so that noise alone moves nobody up and down.

    samples ──> burst window  2 s ──┐
            └─> stable window 6 s ──┴─> level ──> highest of the delay (or of 60 s, if that is noise) ──> served
"""

from __future__ import annotations

import math
from typing import Final

from foresail_operator.scaling.window import Peak, Window

BURST_SECONDS: Final = 2.0
STABLE_SECONDS: Final = 6.0
CALM_SECONDS: Final = 60.0
"""No change is undone within this time unless the load changed by more than chance."""
BURST_DEVIATIONS: Final = 4.0
"""A burst stands this many standard deviations off the stable level: by chance once in hours."""
CALM_DEVIATIONS: Final = 3.0


class Steady:
    """Takes samples, serves the held level. `unit` is how much one request adds to the number."""

    def __init__(self, hold_seconds: float, unit: float = 1.0) -> None:
        self.unit = unit
        self._samples = Window(STABLE_SECONDS)
        self._stays = Window(STABLE_SECONDS)
        self._held = Peak(hold_seconds)
        self._calm = Peak(max(hold_seconds, CALM_SECONDS))
        self.level = 0.0
        """What the load is now, without the past's peaks."""

    def add(self, now: float, value: float, stay_seconds: float) -> None:
        """Take a sample; `stay_seconds` is how long one request counted in it stays."""
        self._samples.add(now, value)
        self._stays.add(now, stay_seconds)
        stable = self._samples.mean(now - STABLE_SECONDS) or 0.0
        burst = self._samples.mean(now - BURST_SECONDS) or 0.0
        chance = BURST_DEVIATIONS * self.deviation(now, BURST_SECONDS)
        self.level = burst if abs(burst - stable) > chance else stable
        self._held.add(now, self.level)
        self._calm.add(now, self.level)

    def deviation(self, now: float, seconds: float = STABLE_SECONDS) -> float:
        """Return the standard deviation that chance gives a mean over `seconds`."""
        mean = self._samples.mean(now - STABLE_SECONDS) or 0.0
        stay_seconds = self._stays.mean(now - STABLE_SECONDS) or 0.0
        return math.sqrt(max(0.0, mean) * self.unit * min(1.0, 2 * stay_seconds / seconds))

    def served(self, now: float) -> float | None:
        """Return the held level; None when no sample came within the hold time."""
        held, calm = self._held.highest(now), self._calm.highest(now)
        if held is None or calm is None:
            return held
        return calm if calm <= held + CALM_DEVIATIONS * self.deviation(now) else held
