"""What is seen of a model over time: replicas wanted and ready, requests sent and answered."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    seconds: float
    wanted: int
    ready: int
    sent: int
    answered: int


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """The same, with counts turned into rates since the look before."""

    seconds: float
    wanted: int
    ready: int
    sent_a_second: float
    answered_a_second: float


def sizes(deployment: dict[str, Any]) -> tuple[int, int]:
    """Return how many replicas a Deployment asks for and how many are ready."""
    return int(deployment["spec"].get("replicas", 1)), int(deployment.get("status", {}).get("readyReplicas", 0))


def moments(samples: Sequence[Sample]) -> list[Moment]:
    """Return the rates between neighbouring samples."""
    found = []
    for before, now in itertools.pairwise(samples):
        span = max(now.seconds - before.seconds, 1e-6)
        sent, answered = (now.sent - before.sent) / span, (now.answered - before.answered) / span
        found.append(Moment(now.seconds, now.wanted, now.ready, sent, answered))
    return found


def first_reached(samples: Sequence[Sample], replicas: int) -> float | None:
    """Return when so many replicas were first ready, None if never."""
    return next((sample.seconds for sample in samples if sample.ready >= replicas), None)


def first_asked(samples: Sequence[Sample], replicas: int) -> float | None:
    """Return when so many replicas were first asked for, None if never."""
    return next((sample.seconds for sample in samples if sample.wanted >= replicas), None)


def percentile(latencies: Sequence[float], per_cent: int) -> float:
    """Return a percentile of some latencies; 0 of none."""
    if len(latencies) < 2:
        return max(latencies, default=0.0)
    return statistics.quantiles(latencies, n=100, method="inclusive")[per_cent - 1]
