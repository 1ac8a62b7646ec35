"""What balancing by connection and by request does to p99, in a simulation: replicas work one request after the other.

Clients keep a connection and have one request under way at a time; requests come at random whoever is busy. By
connection each client has a replica by dice, thrown again every two seconds; by request two proxies give each request
to the replica with the fewest of theirs, so many at once at most. Time is in quick requests.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import heapq
import itertools
import random
from typing import Final

REPLICAS: Final = 4
PROXIES: Final = 2
CLIENTS: Final = 64
AGE: Final = 2000.0
"""Two seconds where a quick request takes a millisecond."""
LENGTH: Final = 60_000.0


@dataclasses.dataclass(frozen=True)
class Load:
    """How much of what the replicas can take, and how many requests take how much longer."""

    share: float
    slow_share: float
    slow: float

    @property
    def rate(self) -> float:
        """Requests a unit of time."""
        return self.share * REPLICAS / (1 - self.slow_share + self.slow_share * self.slow)


@dataclasses.dataclass(frozen=True)
class Request:
    """When it came, of whom, and how long it takes."""

    at: float
    client: int
    length: float


class World:
    """Replicas and clients; `most` is a replica's share at each proxy, None: by connection."""

    def __init__(self, load: Load, most: int | None, seed: int) -> None:
        self.dice = random.Random(seed)
        self.load = load
        self.most = most
        self.now = 0.0
        self.took: list[float] = []
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, int, Request | None]] = []
        self._queues = [collections.deque[Request]() for _ in range(REPLICAS)]
        self._busy = [False] * REPLICAS
        self._wanted = [collections.deque[Request]() for _ in range(CLIENTS)]
        self._asking = [False] * CLIENTS
        self._replica = [self.dice.randrange(REPLICAS) for _ in range(CLIENTS)]
        self._ends = [self.dice.uniform(0, AGE) for _ in range(CLIENTS)]
        self._proxy = [self.dice.randrange(PROXIES) for _ in range(CLIENTS)]
        self._waiting = [collections.deque[Request]() for _ in range(PROXIES)]
        self._given = [[0] * REPLICAS for _ in range(PROXIES)]

    def run(self) -> list[float]:
        """Return how long requests took, shortest first."""
        for client in range(CLIENTS):
            self._come(client)
        while self._events[0][0] < LENGTH:
            self.now, _, which, done = heapq.heappop(self._events)
            if done is None:
                self._wanted[which].append(Request(self.now, which, self._length()))
                self._come(which)
                self._ask(which)
            else:
                self._answer(which, done)
        return sorted(self.took)

    def _length(self) -> float:
        return self.load.slow if self.dice.random() < self.load.slow_share else 1.0

    def _push(self, after: float, which: int, done: Request | None) -> None:
        heapq.heappush(self._events, (self.now + after, next(self._numbers), which, done))

    def _come(self, client: int) -> None:
        self._push(self.dice.expovariate(self.load.rate / CLIENTS), client, None)

    def _ask(self, client: int) -> None:
        if self._asking[client] or not self._wanted[client]:
            return
        self._asking[client] = True
        request = self._wanted[client].popleft()
        if self.most is not None:
            self._waiting[self._proxy[client]].append(request)
            self._give(self._proxy[client])
            return
        if self.now > self._ends[client]:
            self._replica[client] = self.dice.randrange(REPLICAS)
            self._ends[client] = self.now + AGE * self.dice.uniform(0.75, 1.25)
        self._take(self._replica[client], request)

    def _give(self, proxy: int) -> None:
        given = self._given[proxy]
        while self._waiting[proxy] and min(given) < (self.most or 0):
            replica = min(range(REPLICAS), key=lambda one: (given[one], self.dice.random()))
            given[replica] += 1
            self._take(replica, self._waiting[proxy].popleft())

    def _take(self, replica: int, request: Request) -> None:
        self._queues[replica].append(request)
        self._begin(replica)

    def _begin(self, replica: int) -> None:
        if self._queues[replica] and not self._busy[replica]:
            self._busy[replica] = True
            request = self._queues[replica].popleft()
            self._push(request.length, replica, request)

    def _answer(self, replica: int, request: Request) -> None:
        self._busy[replica] = False
        self.took.append(self.now - request.at)
        self._begin(replica)
        self._asking[request.client] = False
        if self.most is not None:
            proxy = self._proxy[request.client]
            self._given[proxy][replica] -= 1
            self._give(proxy)
        self._ask(request.client)


def p99(load: Load, most: int | None, seed: int) -> float:
    """Return the 99th percentile of the time that requests take."""
    took = World(load, most, seed).run()
    return took[int(len(took) * 0.99)]


def main() -> None:
    """Print p99 both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=int, default=16, help="requests that a replica is given at once, by each proxy")
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    for share, (slow_share, slow) in itertools.product((0.5, 0.65, 0.8), ((0.01, 40.0), (0.003, 100.0), (0.05, 10.0))):
        load = Load(share, slow_share, slow)
        dice, fewest = p99(load, None, wish.seed), p99(load, wish.share, wish.seed)
        words = f"{share:.0%} of what replicas can take, {slow_share:.1%} of requests {slow:g} times longer"
        print(f"{words}: p99 {dice:.0f} by connection, {fewest:.0f} by request, {dice / fewest:.1f} times lower")


if __name__ == "__main__":
    main()
