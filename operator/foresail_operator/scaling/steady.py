"""One number of a model, made fit to steer by: quick to rise, slow to fall, deaf to chance.

Two windows look at the samples. The stable one gives the level; the burst one takes over at once when it differs from
what was before by more than chance explains. And chance is known: requests that come independently and stay S seconds
each make a count whose mean over T seconds has the variance `mean * 2S/T * (1 - S/T * (1 - exp(-T/S)))`. The highest
level of the scale-down delay is what is held; after a rise the last minute's, where it is higher by no more than
chance, so that what noise has added noise does not take away at once.

    samples ──> burst window  2 s ──┐
            └─> stable window 6 s ──┴─> level ──> highest of the delay (after a rise: of 60 s) ──> held
"""

from __future__ import annotations

import math
from typing import Final

from foresail_operator.scaling.window import Peak, Window

BURST_SECONDS: Final = 2.0
STABLE_SECONDS: Final = 6.0
CALM_SECONDS: Final = 60.0
"""No change is undone within this time unless the load changed by more than chance."""
BURST_DEVIATIONS: Final = 5.0
"""A burst stands this many standard deviations off what was before: by chance once in hours."""
CALM_DEVIATIONS: Final = 2.5
"""A load that is higher by no more than this soon after a fall is the same load."""
LETGO_DEVIATIONS: Final = 4.0
"""One that is lower by no more than this soon after a rise is; the highest of a minute is a hundred throws' best."""


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
        self.level = burst if self._differs(now, burst) else stable
        self._held.add(now, self.level)
        self._calm.add(now, stable)

    def deviation(self, now: float) -> float:
        """Return the standard deviation that chance gives the level."""
        mean = self._samples.mean(now - STABLE_SECONDS) or 0.0
        stay_seconds = self._stays.mean(now - STABLE_SECONDS) or 0.0
        return math.sqrt(mean * self.unit * _variance(stay_seconds, STABLE_SECONDS))

    def held(self, now: float, ahead_seconds: float = 0.0, *, calm: bool = False) -> float:
        """Return the highest level of the hold time, at least the present one.

        With `ahead_seconds`: what it will be then, if the load stays as it is. With `calm`: of CALM_SECONDS, if chance
        explains by how much the load was higher.
        """
        held = max(self._held.highest(now, ahead_seconds) or 0.0, self.level)
        minute = max(self._calm.highest(now, ahead_seconds) or 0.0, held) if calm else held
        return minute if self._alike(held, minute, now) else held

    def _differs(self, now: float, burst: float) -> bool:
        """Return whether the burst window's mean is no child of chance, given what was before it."""
        before = self._samples.mean(now - STABLE_SECONDS, until=now - BURST_SECONDS)
        stay_seconds = self._stays.mean(now - STABLE_SECONDS, until=now - BURST_SECONDS)
        if before is None or stay_seconds is None:
            return False
        share = _variance(stay_seconds, BURST_SECONDS) + _variance(stay_seconds, STABLE_SECONDS - BURST_SECONDS)
        return abs(burst - before) > BURST_DEVIATIONS * math.sqrt(before * self.unit * share)

    def _alike(self, low: float, high: float, now: float) -> bool:
        """Return whether chance explains that one level is lower than another.

        Between their roots, which chance moves alike however large they are: the deviation of one that is low by
        chance is too small as well.
        """
        stay_seconds = self._stays.mean(now - STABLE_SECONDS) or 0.0
        deviation = math.sqrt(self.unit * _variance(stay_seconds, STABLE_SECONDS)) / 2
        return math.sqrt(high) - math.sqrt(low) <= LETGO_DEVIATIONS * deviation


def _variance(stay_seconds: float, seconds: float) -> float:
    """Return the variance of a mean over `seconds`, as a share of the mean itself."""
    ratio = stay_seconds / seconds
    if ratio <= 0:
        return 0.0
    if ratio > 100:
        return 1.0  # nobody leaves meanwhile: the mean is the count
    return 2 * ratio * (1 - ratio * (1 - math.exp(-1 / ratio)))
