"""A step of load that needs four replicas in place of one: when they are asked for, when they serve, what fails."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bench.scaling import load
from bench.scaling.stage import line, wait

if TYPE_CHECKING:
    from bench.scaling.stage import Size, Stage

REPLICAS: Final = 4
QUIET_PER_SECOND: Final = 15.0
LOUD_PER_SECOND: Final = 220.0
QUIET_SECONDS: Final = 10.0
WAYS: Final[dict[str, dict[str, Any]]] = {
    "foresail": {"type": "requestsPerSecond", "target": 60},
    "cpu": {"type": "cpu", "target": 80},
}


def measure(stage: Stage, way: str, seconds: float) -> dict[str, Any]:
    """Let the step meet a model that scales in one of the WAYS."""
    name = f"step-{way}"
    scaling = {"minReplicas": 1, "maxReplicas": REPLICAS, "metrics": [WAYS[way]], "scaleDownDelaySeconds": 30}
    stage.apply(name, scaling=scaling)
    try:
        wait(lambda: stage.active(name), 120, "the autoscaler reads its metric")

        def rate(elapsed: float) -> float:
            return QUIET_PER_SECOND if elapsed < QUIET_SECONDS else LOUD_PER_SECOND

        with stage.watching(name) as watcher:
            began = time.monotonic()
            seen = asyncio.run(load.run(stage.url(name), rate, QUIET_SECONDS + seconds))
        return report(watcher.seen, began + QUIET_SECONDS) | {"answers": dict(seen.counts)}
    finally:
        stage.delete(name)


def report(sizes: list[Size], step_at: float) -> dict[str, Any]:
    """Return the seconds after the step; None for what did not happen."""
    after = [size for size in sizes if size.at >= step_at]

    def first(times: list[float]) -> float | None:
        return round(times[0] - step_at, 2) if times else None

    return {
        "before_the_step": [size.asked for size in sizes if size.at < step_at][-1],
        "more_asked_seconds": first([size.at for size in after if size.asked > 1]),
        "asked_seconds": first([size.at for size in after if size.asked >= REPLICAS]),
        "serving_seconds": first([size.at for size in after if size.ready >= REPLICAS]),
        "line": line(sizes, step_at),
    }
