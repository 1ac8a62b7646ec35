"""A p95 objective, met by EfficientNet under a step of load: how long until the clients' p95 is near it, and stays."""

from __future__ import annotations

import asyncio
import io
import math
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from bench.scaling import load
from bench.scaling.stage import ROOT, line, wait

if TYPE_CHECKING:
    from bench.scaling.stage import Stage

NAME: Final = "quality"
OBJECTIVE_MILLISECONDS: Final = 400
REPLICAS: Final = 5
QUIET_PER_SECOND: Final = 4.0
LOUD_PER_SECOND: Final = 20.0
QUIET_SECONDS: Final = 30.0
WINDOW_SECONDS: Final = 20.0
NEAR: Final = 1.2
"""Times the objective: what counts as met."""
SEED: Final = 11


def measure(stage: Stage, seconds: float) -> dict[str, Any]:
    """Let the step meet a model that scales on its latency, on replicas of a fifth of a core."""
    stage.store()
    metric = {"type": "latency", "target": OBJECTIVE_MILLISECONDS}
    stage.apply(
        NAME,
        model={"uri": "http://model-store/efficientnet_lite0.onnx"},
        scaling={"maxReplicas": REPLICAS, "metrics": [metric], "scaleDownDelaySeconds": 30},
        resources={"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"cpu": "200m", "memory": "512Mi"}},
    )
    rate = load.by_chance(lambda elapsed: QUIET_PER_SECOND if elapsed < QUIET_SECONDS else LOUD_PER_SECOND, SEED)
    try:
        wait(lambda: stage.active(NAME), 60, "the autoscaler reads its metric")
        url = stage.url(NAME).replace("/infer", "/classify")
        with stage.watching(NAME) as watcher:
            began = time.monotonic()
            seen = asyncio.run(load.run(url, rate, QUIET_SECONDS + seconds, picture(), "image/jpeg"))
        step_at = began + QUIET_SECONDS
        return report([(at - step_at, took) for at, took in seen.answers], seconds) | {
            "answers": dict(seen.counts),
            "line": line(watcher.seen, step_at),
        }
    finally:
        stage.delete(NAME)


def picture() -> bytes:
    """Return a photograph as a camera at the end of a line would send it: 320 pixels wide, JPEG."""
    with Image.open(ROOT / "tests/pictures/coffee.png") as whole:
        small = whole.convert("RGB").resize((320, 213))
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=85)
    return kept.getvalue()


def report(answers: list[tuple[float, float]], seconds: float) -> dict[str, Any]:
    """Return the p95 of each window after the step, and from when on it stays near the objective.

    `answers` are pairs: when asked, in seconds after the step, and the seconds until the answer had come.
    """
    windows = []
    for number in range(int(seconds / WINDOW_SECONDS)):
        start = number * WINDOW_SECONDS
        took = [took for at, took in answers if start <= at < start + WINDOW_SECONDS]
        p95 = 1000 * statistics.quantiles(took, n=20)[-1] if len(took) > 1 else math.inf
        windows.append((start, round(p95)))
    far = [start for start, p95 in windows if p95 > NEAR * OBJECTIVE_MILLISECONDS]
    settled = far[-1] + WINDOW_SECONDS if far else 0.0
    after = [1000 * took for at, took in answers if at >= settled]
    return {
        "objective_milliseconds": OBJECTIVE_MILLISECONDS,
        "windows": windows,
        "settled_seconds": settled if settled < seconds else None,
        "p95_milliseconds": round(statistics.quantiles(after, n=20)[-1]) if len(after) > 1 else None,
    }
