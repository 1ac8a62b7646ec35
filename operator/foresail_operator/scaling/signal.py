"""From what single pods say to what their model carries.

A pod says what it holds now and counters since its start; two looks give what it carried between them. A model's
sample adds its pods up. A pod that does not answer is never counted as idle: it stands for the larger of what it
said last and the mean of those that answer, and while no pod answers at all there is no sample (and so nobody moves).
A pod that has only just become ready counts from its second look on: what it takes over is still in the others' means,
and to count it twice, or unheard as the mean of all, would make the model grow because it grows.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Final

from foresail_runtime.contract import LATENCY_BUCKETS_SECONDS, Load

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

STALE_SECONDS: Final = 2.0
"""A pod whose last answer is older than this (four looks) does not answer."""

LEAST_SECONDS: Final = 0.4
"""Between two looks that are compared, which are half a second apart where nothing is late."""


class Kind(enum.StrEnum):
    """What a model can be scaled on, in the words of `scaling.metrics[].type`."""

    CONCURRENCY = "concurrency"
    REQUESTS_PER_SECOND = "requestsPerSecond"
    LATENCY = "latency"
    QUEUE = "queue"


@dataclasses.dataclass(frozen=True, slots=True)
class PodRate:
    """What one pod carried between two looks."""

    at: float
    concurrency: float
    """Mean of in flight plus queued."""
    queued: float
    requests_per_second: float
    """Refused ones among them."""
    latency: tuple[int, ...] = ()
    """Requests answered in between, by bucket of LATENCY_BUCKETS_SECONDS; without those that were refused."""
    refused_per_second: float = 0.0
    """Those for which there was no room."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A pod that had no room for requests between two looks."""

    pod: str
    """Its key; "" for those refused in front of the pods, which stand for all of them."""
    refused_per_second: float
    answered_per_second: float
    """Those that it did take."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What a model carries: the sum over its pods, silent ones included."""

    at: float
    concurrency: float
    queued: float
    requests_per_second: float
    pods: int
    silent: int = 0
    """How many of the pods did not answer."""
    latency: tuple[int, ...] = ()
    refused_per_second: float = 0.0
    """Those of `requests_per_second` for which there was no room."""
    refusals: tuple[Refusal, ...] = ()
    """Who refused them, silent pods apart."""

    @property
    def answered_per_second(self) -> float:
        """Requests a second that were taken."""
        return max(0.0, self.requests_per_second - self.refused_per_second)


def compare(before: Load | None, after: Load, seconds: float, now: float) -> PodRate:
    """Return what a pod carried between two looks; after a restart, or at the first look, what it holds now."""
    if before is None or seconds <= 0 or after.requests < before.requests or after.load_seconds < before.load_seconds:
        return PodRate(now, after.in_flight + after.queued, after.queued, 0.0, after.latency[:0])
    return PodRate(
        at=now,
        concurrency=(after.load_seconds - before.load_seconds) / seconds,
        queued=after.queued,
        requests_per_second=(after.requests - before.requests) / seconds,
        latency=_difference(before.latency, after.latency),
        refused_per_second=max(0, after.refused - before.refused) / seconds,
    )


class Meter:
    """Makes rates of the answers of one pod.

    What is known of an answer is when it was read, not when it was given. One that is read late makes the time to the
    next one short, and what came meanwhile many a second; so what is too near is compared with the one before.
    """

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: tuple[tuple[float, Load], ...] = ()
        """The last two, and when they were read."""

    def read(self, load: Load, now: float) -> PodRate | None:
        """Take in an answer; return what the pod carried; None where it is too near to the only one before."""
        far = [answer for answer in self._answers if now - answer[0] >= LEAST_SECONDS]
        if self._answers and not far:
            return None
        at, before = far[-1] if far else (now, None)
        self._answers = (*self._answers[-1:], (now, load))
        return compare(before, load, now - at, now)


def combine(
    rates: Mapping[str, PodRate | None], now: float, held: int = 0, new: Collection[str] = (), refused: float = 0.0
) -> Sample | None:
    """Add the pods of a model up.

    Args:
        rates: What each ready pod carried at its last look, None for one that never answered.
        now: The time, on the clock of the rates.
        new: Those of the pods that are asked since a moment only; they count if there are no others.
        held: Requests that wait elsewhere for the model to wake; they want a replica as any other does.
        refused: Requests a second for which there was no room in front of the pods.

    Returns:
        None when there are pods and none of them answers: unknown is not zero.
    """
    heard = {key: rate for key, rate in rates.items() if rate and rate.at >= now - STALE_SECONDS}
    fresh = [rate for key, rate in heard.items() if key not in new] or list(heard.values())
    silent = [rate for key, rate in rates.items() if key not in heard and key not in new]
    if rates and not fresh:
        return None
    refusals = [
        Refusal(key, rate.refused_per_second, max(0.0, rate.requests_per_second - rate.refused_per_second))
        for key, rate in heard.items()
        if rate.refused_per_second > 0
    ]
    answered = _total(fresh, silent, "requests_per_second") - _total(fresh, silent, "refused_per_second")
    if refused > 0:
        refusals.append(Refusal("", refused, max(0.0, answered)))
    return Sample(
        at=now,
        concurrency=held + _total(fresh, silent, "concurrency"),
        queued=held + _total(fresh, silent, "queued"),
        requests_per_second=refused + _total(fresh, silent, "requests_per_second"),
        pods=len(rates),
        silent=len(silent),
        latency=add_counts(rate.latency for rate in fresh),
        refused_per_second=refused + _total(fresh, silent, "refused_per_second"),
        refusals=tuple(refusals),
    )


def quantile_seconds(counts: Iterable[int], quantile: float) -> float | None:
    """Return a quantile of latencies counted by bucket, between the bucket's bounds in proportion; None if none."""
    counted = tuple(counts)
    rest = quantile * sum(counted)
    if rest <= 0:
        return None
    lower = 0.0
    for count, upper in zip(counted, LATENCY_BUCKETS_SECONDS, strict=False):
        if count and rest <= count:
            return lower + (upper - lower) * rest / count
        rest, lower = rest - count, upper
    return lower


def add_counts(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Add latency counts up, bucket by bucket; those that are empty count nothing."""
    filled = [entry for entry in counts if entry]
    return tuple(map(sum, zip(*filled, strict=True))) if filled else ()


def _total(fresh: list[PodRate], silent: list[PodRate | None], name: str) -> float:
    answered: list[float] = [getattr(rate, name) for rate in fresh]
    mean = sum(answered) / len(answered) if answered else 0.0
    return sum(answered) + sum(max(mean, getattr(rate, name) if rate else 0.0) for rate in silent)


def _difference(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    if len(before) != len(after):
        return ()
    return tuple(max(0, late - early) for early, late in zip(before, after, strict=True))
