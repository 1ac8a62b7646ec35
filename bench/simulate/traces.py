"""Load over time: how many requests would be in flight if every one were served at once.

A trace is an array of offered concurrency (arrival rate x service time), one value a STEP_SECONDS. The shapes are
those an inference service meets; everything random comes from the seed.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Trace: TypeAlias = NDArray[np.float64]
STEP_SECONDS: Final = 0.1
"""The simulator's clock: small beside the half second between two looks at a pod."""


def step(rng: np.random.Generator) -> Trace:
    """Ten quiet minutes' worth of one replica with a jump to four, and back."""
    low, high = rng.uniform(3, 5), rng.uniform(22, 27)
    at = _seconds(600)
    load: Trace = np.where((at >= 120) & (at < 360), high, low)
    return load


def ramp(rng: np.random.Generator) -> Trace:
    """Up to eight replicas in four minutes, a plateau, and down as slowly."""
    high = rng.uniform(45, 60)
    return np.interp(_seconds(780), [0, 60, 300, 420, 660, 780], [4, 4, high, high, 4, 4])


def sine(rng: np.random.Generator) -> Trace:
    """Five-minute waves between about one replica and about nine."""
    middle, swing, phase = rng.uniform(30, 36), rng.uniform(22, 28), rng.uniform(0, 2 * np.pi)
    load: Trace = middle + swing * np.sin(2 * np.pi * _seconds(1200) / 300 + phase)
    return load


def poisson(rng: np.random.Generator) -> Trace:
    """A base load with bursts at random: about one in a minute and a half, 20 s to 90 s long, of 2 to 5 replicas."""
    at = _seconds(1800)
    load = np.full_like(at, rng.uniform(5, 10))
    start = rng.exponential(60)
    while start < at[-1]:
        length, size = rng.uniform(20, 90), rng.uniform(12, 35)
        load += np.where((at >= start) & (at < start + length), size, 0)
        start += rng.exponential(90)
    return load


def daily(rng: np.random.Generator) -> Trace:
    """A day pressed into an hour: night, a morning and an evening peak, and slow noise on top."""
    at = _seconds(3600)
    hours = at / 3600 * 24
    peaks: Trace = 30 * np.exp(-(((hours - 10) / 2.5) ** 2)) + 38 * np.exp(-(((hours - 19) / 2.0) ** 2))
    walk: Trace = np.interp(at, np.arange(0, 3601, 20), rng.normal(0, 1.5, 181).cumsum() * 0.25)
    return np.maximum(0.5, 5 + peaks + walk)


def noise(rng: np.random.Generator) -> Trace:
    """The same load for ten minutes: whatever moves here is the autoscaler's own doing."""
    return np.full_like(_seconds(600), rng.uniform(12, 40))


def bursts(rng: np.random.Generator) -> Trace:
    """Ten minutes of which five bring a burst each second, of 25 to 35 at once: three in flight in the mean."""
    at = _seconds(600)
    size = rng.uniform(25, 35)
    early = np.arange(len(at)) % round(1 / STEP_SECONDS) == 0
    # Within one step all of it comes: the trace is what would be in flight if it came evenly at that rate.
    load: Trace = np.where(early & (at >= 120) & (at < 420), size, 0.0) + 0.5
    return load


SHAPES: Final[dict[str, Callable[[np.random.Generator], Trace]]] = {
    "step": step,
    "ramp": ramp,
    "sine": sine,
    "poisson": poisson,
    "daily": daily,
    "noise": noise,
}


def recorded(path: Path, service_seconds: float) -> Trace:
    """Read a recording (CSV with columns `seconds` and `requests_per_second`) and stretch it onto our clock."""
    with path.open(newline="") as file:
        rows = [(float(row["seconds"]), float(row["requests_per_second"])) for row in csv.DictReader(file)]
    times, rates = np.array(rows).T
    load: Trace = np.interp(_seconds(float(times[-1])), times, rates * service_seconds)
    return load


def _seconds(length: float) -> Trace:
    return np.arange(0, length, STEP_SECONDS, dtype=np.float64)
