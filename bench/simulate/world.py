"""A cluster in a few numbers: requests arrive, pods start slowly and serve, a policy says how many there should be.

All requests stand in one queue (the balance between pods is another matter); a ready pod works on `slots` of them
at a time and each takes an exponentially distributed time. What a policy sees is what it could see in a cluster.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Protocol

import numpy as np

from bench.simulate.traces import STEP_SECONDS, Trace

WARM_UP_SECONDS: Final = 120.0
_RETRY_STEPS: Final = round(1.0 / STEP_SECONDS)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a pod can do and what its owner wants of it."""

    slots: int = 10
    """Requests a pod works on at a time."""
    target: float = 7.0
    """Requests in flight a replica should have: 70 % of its slots, Knative's default."""
    service_seconds: float = 0.1
    room: int | None = None
    """Requests that may wait for a ready pod, as `serving.maxQueueSize`; the next one is refused. None: all may."""
    start_seconds: float = 3.0
    """From the moment a replica is asked for until it serves."""
    minimum: int = 1
    maximum: int = 20

    def need(self, load: Trace) -> Trace:
        """Return the replicas that carry the load at the target."""
        return np.clip(np.ceil(load / self.target), self.minimum, self.maximum)


@dataclasses.dataclass(frozen=True)
class View:
    """What can be seen of the cluster at one moment; the totals only ever grow."""

    now: float
    ready: int
    wanted: int
    in_flight: int
    queued: int
    load_seconds: float
    """Total of (in flight + queued) over time."""
    busy_seconds: float
    """Total of occupied slots over time: what cpu usage follows."""
    requests: int
    """Total of those that were answered, refused ones among them."""
    refused: int = 0
    """Total of those for which there was no room."""


class Policy(Protocol):
    """Says how many replicas there should be; called at every step, answers when it wants."""

    def look(self, view: View) -> int | None:
        """Return the replicas to ask for, None for no change."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What happened, one value a step."""

    load: Trace
    need: Trace
    ready: Trace
    paid: Trace
    """Replicas asked for, those that are still starting included."""
    waiting: Trace
    refused: Trace
    """Requests that came when there was no room, those that had been refused before among them."""

    @property
    def under(self) -> float:
        """Replica-seconds that were needed and not there."""
        return float(np.maximum(0, self.need - self.ready).sum() * STEP_SECONDS)

    @property
    def over(self) -> float:
        """Replica-seconds that were there and not needed."""
        return float(np.maximum(0, self.paid - self.need).sum() * STEP_SECONDS)

    @property
    def needed(self) -> float:
        """Replica-seconds that were needed."""
        return float(self.need.sum() * STEP_SECONDS)

    @property
    def score(self) -> float:
        """Both in one number; a missing replica hurts users, a spare one only costs."""
        return 10 * self.under + self.over

    @property
    def changes(self) -> int:
        """How often the number of replicas was changed."""
        return int(np.count_nonzero(np.diff(self.paid)))


def play(load: Trace, setting: Setting, policy: Policy, rng: np.random.Generator) -> Run:
    """Let the load run against the policy and return what happened.

    Everyone first gets WARM_UP_SECONDS of the first moment's load, which don't count: windows must fill. Who is refused
    comes again a second later, as the answer says.
    """
    warm_up = round(WARM_UP_SECONDS / STEP_SECONDS)
    load = np.concatenate([np.full(warm_up, load[0]), load])
    steps = len(load)
    arrivals = rng.poisson(load / setting.service_seconds * STEP_SECONDS).tolist()
    need = setting.need(load)
    first = int(need[0])
    finish_share = min(1.0, STEP_SECONDS / setting.service_seconds)
    ready, starting, present, answered, refused = first, list[float](), 0, 0, 0
    again = [0] * (steps + _RETRY_STEPS)
    load_seconds = busy_seconds = 0.0
    ready_log, paid_log, waiting_log, refused_log = (np.zeros(steps) for _ in range(4))
    for index in range(steps):
        now = index * STEP_SECONDS
        while starting and starting[0] <= now:
            starting.pop(0)
            ready += 1
        busy = min(present, ready * setting.slots)
        wanted, waiting = ready + len(starting), present - busy
        view = View(now, ready, wanted, busy, waiting, load_seconds, busy_seconds, answered + refused, refused)
        ready, starting = _resize(policy.look(view), ready, starting, now + setting.start_seconds, setting)
        present += arrivals[index] + again[index]
        if setting.room is not None:
            too_many = max(0, present - ready * (setting.slots + setting.room))
            present, refused, again[index + _RETRY_STEPS] = present - too_many, refused + too_many, too_many
            refused_log[index] = too_many
        busy = min(present, ready * setting.slots)
        done = int(rng.binomial(busy, finish_share)) if busy else 0
        load_seconds += present * STEP_SECONDS
        busy_seconds += busy * STEP_SECONDS
        present, answered = present - done, answered + done
        ready_log[index], paid_log[index], waiting_log[index] = ready, ready + len(starting), present - done
    return Run(*(log[warm_up:] for log in (load, need, ready_log, paid_log, waiting_log, refused_log)))


def _resize(
    wanted: int | None, ready: int, starting: list[float], ready_at: float, setting: Setting
) -> tuple[int, list[float]]:
    """Add replicas that will be ready later, or take away: the starting ones first, as a ReplicaSet does."""
    if wanted is None:
        return ready, starting
    wanted = min(max(wanted, setting.minimum), setting.maximum)
    if wanted >= ready + len(starting):
        return ready, starting + [ready_at] * (wanted - ready - len(starting))
    return min(ready, wanted), starting[: max(0, wanted - ready)]
