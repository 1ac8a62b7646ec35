"""What the numbers ask for: replicas wanted, as the HPA would reckon, and whether that is worth an immediate rise.

HPA and burst path read the same held number and reckon alike, so what one does the other confirms.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from foresail_operator.scaling.signal import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE: Final = 0.1
"""The HPA's default: a tenth more or less than the target changes nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """One metric of a model: what there is in all, and what one replica should have of it."""

    kind: Kind
    value: float
    target: float
    seen: float | None = None
    """What is really there, where `value` is held above it so that the size stays; None: the value is."""
    refused: float = 0.0
    """Requests a second for which there was no room."""
    full: int = 0
    """How many replicas that asks for, which are in `value` and not in `seen`."""
    kept: int = 0
    """How many there are to be since fewer of them refused requests a while ago; they are in `value`, too."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """How many replicas the model's owner allows."""

    minimum: int
    maximum: int
    sleeps: bool = False
    """Whether the minimum, of 1, is for as long only as the model is awake."""


@dataclasses.dataclass(frozen=True, slots=True)
class Advice:
    """How many replicas there should be, and why in a sentence that a person understands."""

    replicas: int
    reason: str
    kind: Kind | None = None


def replicas_wanted(reading: Reading, current: int, tolerance: float = TOLERANCE) -> int:
    """Return what the HPA makes of an AverageValue metric: unchanged within the tolerance, else rounded up."""
    value, target = _milli(reading.value), _milli(reading.target)
    if current and abs(1.0 - value / (target * current)) <= tolerance:
        return current
    return math.ceil(value / target)


def advise(readings: Sequence[Reading], current: int, bounds: Bounds, tolerance: float = TOLERANCE) -> Advice:
    """Return the largest size that any of the readings asks for, within the bounds."""
    if not readings:
        return Advice(
            min(max(current, bounds.minimum), bounds.maximum), f"{current} of {bounds.maximum}: no signal yet"
        )
    wanted = [(replicas_wanted(reading, current, tolerance), reading) for reading in readings]
    most, reading = max(wanted, key=lambda pair: pair[0])
    replicas = min(max(most, bounds.minimum), bounds.maximum)
    held = dataclasses.replace(reading, value=reading.value if reading.seen is None else reading.seen)
    fewer = max(replicas_wanted(held, current, tolerance), reading.full, bounds.minimum)
    return Advice(replicas, _reason(replicas, most, fewer, held, bounds), reading.kind)


def rise(advice: Advice, current: int) -> int | None:
    """Return the size to raise to at once; None when the advice asks for no more than there is. Never falls."""
    return advice.replicas if advice.replicas > current else None


def _milli(value: float) -> int:
    """Round to thousandths as a Quantity does on its way to the HPA, upwards."""
    return math.ceil(round(value * 1000, 3))


def _reason(replicas: int, wanted: int, fewer: int, reading: Reading, bounds: Bounds) -> str:
    match reading.kind:
        case Kind.CONCURRENCY:
            seen = f"{_number(reading.value)} requests in flight, {_number(reading.target)} a replica wanted"
        case Kind.REQUESTS_PER_SECOND:
            seen = f"{_number(reading.value)} requests a second, {_number(reading.target)} a replica wanted"
        case Kind.QUEUE:
            seen = f"{_number(reading.value)} requests waiting, {_number(reading.target)} a replica wanted"
        case Kind.LATENCY:
            load = _number(reading.value / reading.target)
            seen = f"the load of {load} replicas that answer with a p95 of {_number(reading.target)} ms"
    if reading.full:
        seen += f", and {_number(reading.refused)} a second refused"
    limit = ""
    if wanted > bounds.maximum:
        limit = f"; {wanted} would be needed, maxReplicas is {bounds.maximum}"
    elif wanted < bounds.minimum:
        why = "it sleeps once idle for idleSeconds" if bounds.sleeps else f"minReplicas is {bounds.minimum}"
        limit = f"; {wanted} would do, {why}"
    elif fewer < replicas <= reading.kept:
        limit = f"; {fewer} would do, but so few have refused requests of a load like this one"
    elif fewer < replicas:
        limit = f"; {fewer} would do, the size is held until scaleDownDelaySeconds have passed"
    return f"{replicas} of {bounds.maximum}: {seen}{limit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
