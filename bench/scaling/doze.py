"""Ask a model at odd moments as it falls asleep by itself, sleeps, wakes and ends its replicas: none may be lost."""

from __future__ import annotations

import asyncio
import collections
import itertools
import random
import time
from typing import TYPE_CHECKING, Any, Final

from bench.scaling.wake import ask

if TYPE_CHECKING:
    from bench.scaling.stage import Size, Stage

NAME: Final = "dozer"
IDLE_SECONDS: Final = 5
PAUSES: Final = (IDLE_SECONDS - 0.5, IDLE_SECONDS + 4.0)
"""Shortest and longest pause before a request: from just awake to just gone, as a replica drains for five seconds."""
SEED: Final = 7


def measure(stage: Stage, seconds: float) -> dict[str, Any]:
    """Ask for so long, each time on a connection of its own after a pause drawn at random."""
    scaling = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": IDLE_SECONDS}
    stage.apply(NAME, scaling=scaling)
    draw, answers, slowest = random.Random(SEED), collections.Counter[str](), 0.0
    try:
        url, end = stage.url(NAME), time.monotonic() + seconds
        with stage.watching(NAME) as watcher:
            while time.monotonic() < end:
                time.sleep(draw.uniform(*PAUSES))
                status, took = asyncio.run(ask(url))
                slowest = max(slowest, took)
                answers[status] += 1
        falls = slept(watcher.seen)
    finally:
        stage.delete(NAME)
    lost = answers.total() - answers["200"]
    return {"asked": answers.total(), "lost": lost, "slept": falls, "slowest_seconds": round(slowest, 2)} | (
        {"answers": dict(answers)} if lost else {}
    )


def slept(seen: list[Size]) -> int:
    """Return how often the size fell to 0."""
    return sum(before.asked > 0 == after.asked for before, after in itertools.pairwise(seen))
