"""Counts and histograms, cheap to write; `exposition` makes them into Prometheus' text when it is asked for.

prometheus-client's own histograms take a lock and a label look-up per observation: more than the JSON decoding of
a small request. Everything here is written on the event loop's thread only, so a list of whole numbers does.
"""

from __future__ import annotations

import bisect
import collections
import itertools
import time
from typing import TYPE_CHECKING, Final

from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client import core

SECONDS: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_SHORT_SECONDS: Final = (0.000005, 0.00001, 0.000025, *SECONDS)
"""Of what takes microseconds: a small body is tensors before the first of the others is over."""
_FINE_SECONDS: Final = tuple(sorted({*SECONDS, *contract.LATENCY_BUCKETS_SECONDS}))
"""One histogram for two readers: its counts add up to those of either's buckets."""
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Counts by bucket; `bounds` are the buckets' upper ends, the last bucket has none."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean of the values; 0 before the first."""
        return self.total / max(1, self.count)

    def counts_within(self, bounds: Sequence[float]) -> list[int]:
        """Return the counts by coarser buckets, each bound one of ours, and of what lies above them."""
        edges = [0, *(bisect.bisect_left(self.bounds, bound) + 1 for bound in bounds), len(self.counts)]
        return [sum(self.counts[first:last]) for first, last in itertools.pairwise(edges)]

    def buckets(self, bounds: Sequence[float] | None = None) -> list[tuple[str, float]]:
        """Return Prometheus' cumulative buckets, by coarser bounds if some are given."""
        bounds = self.bounds if bounds is None else bounds
        names = [*(_bound(bound) for bound in bounds), "+Inf"]
        running = 0.0
        result = []
        for name, count in zip(names, self.counts_within(bounds), strict=True):
            running += count
            result.append((name, running))
        return result


class ModelMetrics:
    """What is counted for one version of one model."""

    def __init__(self, name: str, version: str, providers: Sequence[str] = ()) -> None:
        self.name = name
        self.version = version
        self.providers = tuple(providers)
        self.total = Histogram(_FINE_SECONDS)
        self.refused = Histogram(_FINE_SECONDS)
        """Those of `total` for which there was no room."""
        self.queue = Histogram(SECONDS)
        self.compute = Histogram(SECONDS)
        self.pre = Histogram(_SHORT_SECONDS)
        self.post = Histogram(_SHORT_SECONDS)
        self.rows = Histogram(ROWS)
        self.failed_rows = 0
        """Those of `rows` whose run gave no answer: Triton's dashboards do not count them as inferences."""
        self.requests = 0
        """Requests that were in a run."""
        self.outcomes: collections.Counter[tuple[str, int]] = collections.Counter()
        """Answered requests by way in (`infer`, `detect`, `grpc`, …) and HTTP status."""
        self.good_seconds = 0.0
        """What `total` adds up to over the requests that ended well."""
        self.bad_seconds = 0.0
        """And over the others. Two sums: a difference of one with `total` could fall, which no counter does."""
        self.pending: Callable[[], int] = int
        """Returns how many requests wait for the engine."""
        self.last_request_seconds = 0.0
        """When the last run ended, in seconds since the epoch; 0: none yet."""

    def ran(self, rows: int, requests: int, seconds: float) -> None:
        """Count a run of the engine."""
        self.last_request_seconds = time.time()
        self.compute.observe(seconds)
        self.rows.observe(rows)
        self.requests += requests

    def failed(self, rows: int) -> None:
        """Count that the rows of a run got no answer."""
        self.failed_rows += rows

    def waited(self, seconds: float) -> None:
        """Count the time of a request in the queue."""
        self.queue.observe(seconds)

    def decoded(self, seconds: float) -> None:
        """Count the time from a request's body to the model's inputs."""
        self.pre.observe(seconds)

    def encoded(self, seconds: float) -> None:
        """Count the time from the model's outputs to the answer's body."""
        self.post.observe(seconds)

    def answered(self, way: str, status: int, seconds: float, *, refused: bool = False) -> None:
        """Count a request that was answered, well or not, or refused for want of room."""
        self.total.observe(seconds)
        if refused:
            self.refused.observe(seconds)
        if status < 400:
            self.good_seconds += seconds
        else:
            self.bad_seconds += seconds
        self.outcomes[way, status] += 1


class Metrics:
    """Everything that is counted in this process."""

    def __init__(self, *, triton_names: bool = False) -> None:
        self.triton_names: Final = triton_names
        """Whether what Triton counts is told under its names as well."""
        self.models: dict[tuple[str, str], ModelMetrics] = {}
        self.rejected: collections.Counter[str] = collections.Counter()
        """Requests answered with an error, by reason word."""
        self.received_bytes = 0
        self.sent_bytes = 0
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Name → help and what to call at scrape."""
        self.families: list[Callable[[], Iterable[core.Metric]]] = []
        """Called at scrape, for what others count."""
        self.state: Callable[[], str] = lambda: "starting"

    def model(self, name: str, version: str, providers: Sequence[str] = ()) -> ModelMetrics:
        """Return the counts of one model's version, made at the first call."""
        key = (name, version)
        if key not in self.models:
            self.models[key] = ModelMetrics(name, version, providers)
        return self.models[key]


def _bound(bound: float) -> str:
    """Return a bucket's bound as Prometheus writes it."""
    return str(float(bound))
