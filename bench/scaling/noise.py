"""Noisy load whose mean stays: does a change of size come that another undoes soon after?"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from bench.scaling import load
from bench.scaling.stage import line, wait

if TYPE_CHECKING:
    from bench.scaling.stage import Stage

NAME: Final = "noisy"
CALM_SECONDS: Final = 60.0
PER_SECOND: Final = 90.0
SETTLE_SECONDS: Final = 45.0
"""The load itself begins with a step: what happens in this time is that."""
SEED: Final = 7


def measure(stage: Stage, seconds: float) -> dict[str, Any]:
    """Let noise meet a model, HPA and burst path both at work, and count what is taken back."""
    metric = {"type": "requestsPerSecond", "target": 42}  # 90 a second lies near three replicas' edge
    stage.apply(NAME, scaling={"maxReplicas": 6, "metrics": [metric], "scaleDownDelaySeconds": 30})
    rate = load.by_chance(lambda _: PER_SECOND, SEED)
    try:
        wait(lambda: stage.active(NAME), 60, "the autoscaler reads its metric")
        with stage.watching(NAME) as watcher:
            began = time.monotonic()
            seen = asyncio.run(load.run(stage.url(NAME), rate, SETTLE_SECONDS + seconds))
        settled = [size for size in watcher.seen if size.at >= began + SETTLE_SECONDS]
        changes = [(b.at, b.asked - a.asked) for a, b in itertools.pairwise(settled) if a.asked != b.asked]
        return {
            "seconds": seconds,
            "changes": [(round(at - began, 1), by) for at, by in changes],
            "undone": undone(changes),
            "answers": dict(seen.counts),
            "line": line(watcher.seen, began),
        }
    finally:
        stage.delete(NAME)


def undone(changes: list[tuple[float, int]]) -> int:
    """Return how many changes the next one took back within CALM_SECONDS."""
    return sum(a[1] * b[1] < 0 and b[0] - a[0] < CALM_SECONDS for a, b in itertools.pairwise(changes))
