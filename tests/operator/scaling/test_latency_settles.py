"""A p95 objective against replicas that are queues: requests come by chance, wait for their turn, and are counted."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import random
import statistics

import pytest

from foresail_operator.scaling.decide import Bounds
from foresail_operator.scaling.model import Goal, ModelScaler, Plan
from foresail_operator.scaling.signal import Kind, Sample
from foresail_runtime.contract import LATENCY_BUCKETS_SECONDS, LATENCY_COUNTS

LOOK_SECONDS = 0.5
HPA_SECONDS = 15.0
START_SECONDS = 6.0
QUIET_SECONDS = 60.0
STEP_SECONDS = 420.0
SETTLED_SECONDS = 180.0
"""After the step."""
DELAY_SECONDS = 30.0
CALM_SECONDS = 60.0


@dataclasses.dataclass
class Pods:
    """Replicas with so many servers each, as a trace of what they hold and answer."""

    service_seconds: float
    servers: int
    spread: float
    chance: random.Random
    free_at: list[list[float]] = dataclasses.field(default_factory=list)
    under_way: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """When each request came and when it is answered, those of all replicas."""

    def resize(self, count: int, now: float) -> None:
        while len(self.free_at) < count:
            self.free_at.append([now] * self.servers)
        del self.free_at[count:]

    def arrive(self, at: float) -> None:
        servers = self.chance.choice(self.free_at)
        first = min(range(len(servers)), key=lambda index: servers[index])
        factor = 1 + self.spread * (2 * self.chance.random() - 1)
        servers[first] = max(at, servers[first]) + self.service_seconds * factor
        self.under_way.append((at, servers[first]))

    def look(self, now: float, pods: int) -> tuple[Sample, list[tuple[float, float]]]:
        """Return what the last LOOK_SECONDS carried, and when what was answered came and how long it took."""
        begun = now - LOOK_SECONDS
        done = [(came, left - came) for came, left in self.under_way if left <= now]
        held = sum(min(left, now) - max(came, begun) for came, left in self.under_way)
        counts = [0] * LATENCY_COUNTS
        for _, took in done:
            counts[bisect.bisect_left(LATENCY_BUCKETS_SECONDS, took)] += 1
        self.under_way = [one for one in self.under_way if one[1] > now]
        sample = Sample(
            at=now,
            concurrency=held / LOOK_SECONDS,
            queued=max(0.0, held / LOOK_SECONDS - pods * self.servers),
            requests_per_second=len(done) / LOOK_SECONDS,
            pods=pods,
            latency=tuple(counts),
        )
        return sample, done


@dataclasses.dataclass
class Seen:
    sizes: list[tuple[float, int]]
    answers: list[tuple[float, float]]
    """When each answered request came, and how long it took."""

    def p95(self, since: float) -> float:
        return statistics.quantiles([took for came, took in self.answers if came >= since], n=20)[-1]

    def undone(self, since: float) -> int:
        """Return how many changes the next one took back within a minute."""
        steps = [(at, after - before) for (_, before), (at, after) in itertools.pairwise(self.sizes) if at >= since]
        return sum(a[1] * b[1] < 0 and b[0] - a[0] < CALM_SECONDS for a, b in itertools.pairwise(steps))


def play(objective_seconds: float, quiet: float, loud: float, pods: Pods) -> Seen:
    """Let a step of load meet a model that scales on its latency, with an HPA that looks every 15 s."""
    plan = Plan((Goal(Kind.LATENCY, 1000 * objective_seconds),), Bounds(1, 12), DELAY_SECONDS)
    scaler = ModelScaler(plan, 0.0)
    size, ready = 1, 1
    starting: list[float] = []
    seen = Seen([], [])
    pods.resize(1, 0.0)
    now = due = 0.0
    while now < QUIET_SECONDS + STEP_SECONDS:
        now += LOOK_SECONDS
        while due < now:
            pods.arrive(due)
            due += pods.chance.expovariate(quiet if due < QUIET_SECONDS else loud)
        ready = min(size, ready + sum(at <= now for at in starting))
        starting = [at for at in starting if at > now]
        sample, done = pods.look(now, ready)
        pods.resize(ready, now)
        seen.answers += done
        scaler.take(sample, size, now)
        wanted = size
        if (rise := scaler.rise(size, now)) is not None:
            wanted = rise.replicas
        elif now % HPA_SECONDS == 0:
            wanted = scaler.advise(size, now).replicas
        if wanted != size:
            starting += [now + START_SECONDS] * (wanted - size)
            size, ready = wanted, min(ready, wanted)
            seen.sizes.append((now, size))
    return seen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("objective", "service", "servers", "spread"),
    [(0.4, 0.06, 1, 0.3), (0.4, 0.05, 1, 1.0), (0.25, 0.01, 1, 0.5), (0.2, 0.05, 2, 0.3), (0.3, 0.05, 4, 0.5)],
    ids=["a small pod", "unequal requests", "a quick model", "two cores", "four cores"],
)
def test_within_three_minutes_of_a_step_the_p95_is_met_by_as_few_replicas_as_will_do(
    objective: float, service: float, servers: int, spread: float, seed: int
) -> None:
    capacity = servers / service
    pods = Pods(service, servers, spread, random.Random(seed))
    seen = play(objective, 0.25 * capacity, 3.1 * capacity, pods)
    settled = QUIET_SECONDS + SETTLED_SECONDS
    assert seen.p95(settled) <= 1.2 * objective
    assert seen.sizes[-1][1] <= 6, "four are the fewest that hold the load at all"
    assert seen.undone(settled) == 0
