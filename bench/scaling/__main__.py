"""Measure scaling where real kubelets start pods: `python -m bench.scaling [--part step wake …]`.

The HPA looks every 15 s, its default, and a plain HPA on cpu meets the same step in the same run. Everything, the
cluster and the clients too, shares this machine's cores. Exits 1 when a bar is missed; what it was is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.scaling import bars, doze, latency, memory, noise, picture, step, wake
from bench.scaling.stage import Stage
from bench.scaling.watcher import Watcher
from bench.simulate.__main__ import PODS, compete, load_of
from foresail_testbed.cluster import Cluster
from foresail_testbed.options import Options
from tests import installation

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS: Final = ("step", "wake", "doze", "noise", "latency", "simulate")
SEEDS: Final = range(100, 103)
OVER: Final = 0.25


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    missed: list[str] = []
    if "simulate" in options.part:
        found["simulate"] = _simulated()
        missed += [
            f"{name}: {over:.0%} over" for name, over in found["simulate"].items() if "foresail" in name and over > OVER
        ]
    if set(options.part) - {"simulate"}:
        cluster = Cluster.start(Options(name=options.name))
        try:
            with cluster.joined():
                installation.install(cluster)
                found |= _measured(Stage(cluster), options)
        finally:
            cluster.stop()
    missed += bars.missed(found)
    (options.out / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    picture.draw(options.out / "scaling.png", found)
    print(json.dumps(_short(found), indent=1))
    print("every bar was met" if not missed else "MISSED: " + "; ".join(missed))
    return 1 if missed else 0


def _measured(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "step": lambda: {way: step.measure(stage, way, options.step_seconds) for way in step.WAYS},
        "wake": lambda: wake.measure(stage, options.wakes, options.wake_seconds),
        "doze": lambda: doze.measure(stage, options.doze_seconds),
        "noise": lambda: noise.measure(stage, options.noise_seconds),
        "latency": lambda: latency.measure(stage, options.latency_seconds),
    }
    found: dict[str, Any] = {"operator": {}}
    with Watcher(stage.usage, memory.LOOK_SECONDS) as watcher:
        for name in options.part:
            if name in parts:
                print(f"{name} …", flush=True)
                before = stage.usage()
                found[name] = parts[name]()
                found["operator"][name] = stage.usage().since(before)
    return found | {"memory": memory.trend(memory.line(watcher.seen))}


def _simulated() -> dict[str, float]:
    """Return the spare replica-seconds in the simulator, as a share of what was needed."""
    found = {}
    for shape in ("sine", "poisson"):
        for pod, setting in PODS.items():
            runs = [compete(load_of(shape, setting, seed), setting, seed) for seed in SEEDS]
            for policy in ("patient", "foresail"):
                over = sum(run[policy].over for run in runs) / sum(run[policy].needed for run in runs)
                found[f"{shape}, {pod} pods, {policy}"] = round(over, 3)
    return found


def _short(value: Any) -> Any:
    """Return what was found without the lines and rounds that the plot shows."""
    if not isinstance(value, dict):
        return value
    return {name: _short(one) for name, one in value.items() if name not in {"line", "rounds"}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.scaling", description=__doc__)
    parser.add_argument("--part", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--wakes", type=int, default=50)
    parser.add_argument("--wake-seconds", type=float, default=1800, help="no wake-up begins after so long")
    parser.add_argument("--doze-seconds", type=float, default=240, help="how long a model that dozes is asked")
    parser.add_argument("--step-seconds", type=float, default=75, help="how long the load stays after its step")
    parser.add_argument("--noise-seconds", type=float, default=600)
    parser.add_argument("--latency-seconds", type=float, default=300, help="how long the load stays after its step")
    parser.add_argument("--name", default="bench-scaling", help="the cluster's")
    parser.add_argument("--out", type=Path, default=Path("bench-output"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
