"""Play every trace against every policy, print the table, draw the pictures.

    python -m bench.simulate [--seeds 2] [--trace NAME …] [--recorded FILE.csv --service-seconds 0.1] [--out FOLDER]

Seeds 0 and 1 were looked at while the policy was made, those from 100 on were not. Exits 1 when ours does not
score lower than both the HPA on cpu and Knative's algorithm on a trace, in the mean over its seeds; single seeds on
which it does not are named.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.simulate import plot, traces
from bench.simulate.cpu import CpuAutoscaler
from bench.simulate.ideal import Ideal
from bench.simulate.knative import Knative
from bench.simulate.ours import Foresail
from bench.simulate.patient import Patient
from bench.simulate.world import Run, Setting, play

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.simulate.traces import Trace
    from bench.simulate.world import Policy

PODS: Final = {
    "quick": Setting(slots=10, target=7.0, service_seconds=0.1),
    "slow": Setting(slots=10, target=7.0, service_seconds=1.0),
    "small": Setting(slots=4, target=2.8, service_seconds=0.3),
}
"""Kinds of pod: how much one takes, and how long a request takes in it."""
FULL: Final = Setting(slots=10, target=7.0, service_seconds=traces.STEP_SECONDS, room=5)
"""A pod whose queue is short: what comes in one step is what is in flight in the mean, and of that it takes 15."""
TUNED_SEEDS: Final = (0, 1)
FRESH_SEEDS: Final = range(100, 200)
POLICIES: Final = ("ideal", "patient", "cpu", "knative", "foresail")
CALM: Final = "noise"
"""On this trace nothing happens but chance: no contest, it shows who keeps still."""


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    lost = []
    print(f"{'trace':9} {'pod':6} {'seeds':>5}  " + "".join(f"{name:^36}" for name in POLICIES))
    print(f"{'':23}" + f"{'lacking   spare    %   score changes':>36}" * len(POLICIES))
    for name in options.trace:
        for pod, setting in PODS.items():
            won = _contest(name, pod, setting, options)
            lost += [] if won or name == CALM else [f"{name} with {pod} pods"]
    _refused(options)
    if options.recorded:
        _recorded(options)
    print(f"\n{time.monotonic() - started:.0f} s; pictures in {options.out}")
    print("% = spare of what was needed; patient knows the future, but keeps the delay of 30 s and the HPA's 15 s")
    print("score = 10 x replica-seconds lacking + replica-seconds spare; means over the seeds")
    if lost:
        print("NOT BELOW BOTH OTHERS on " + ", ".join(lost))
    return 1 if lost else 0


def compete(load: Trace, setting: Setting, seed: int) -> dict[str, Run]:
    """Let every policy meet the same load and the same chance."""
    policies: dict[str, Policy] = {
        "ideal": Ideal(load, setting),
        "patient": Patient(load, setting),
        "cpu": CpuAutoscaler(setting),
        "knative": Knative(setting.target),
        "foresail": Foresail(setting),
    }
    return {name: play(load, setting, policy, np.random.default_rng(seed + 1000)) for name, policy in policies.items()}


def load_of(shape: str, setting: Setting, seed: int) -> Trace:
    """Return a shape's load, scaled to how much a pod of this kind takes."""
    return traces.SHAPES[shape](np.random.default_rng(seed)) * (setting.target / 7.0)


def _contest(name: str, pod: str, setting: Setting, options: argparse.Namespace) -> bool:
    """Play one trace with all seeds, print the means; return whether ours scored lowest in the mean of all."""
    everything: list[Mapping[str, Run]] = []
    hour = round(3600 / traces.STEP_SECONDS / len(load_of(name, setting, 0)))
    for label, seeds in (("tuned", TUNED_SEEDS), ("fresh", FRESH_SEEDS[: options.seeds * hour])):
        runs = {seed: compete(load_of(name, setting, seed), setting, seed) for seed in seeds}
        if label == "fresh":
            plot.draw(options.out / f"{name}-{pod}.png", f"{name}, {pod} pods, seed {seeds[0]}", runs[seeds[0]])
        _print_means(f"{name:9} {pod:6} {label:>5}", list(runs.values()))
        everything += runs.values()
        unlucky = [str(seed) for seed, run in runs.items() if not _ours_is_lowest([run])]
        if unlucky and name != CALM:
            print(f"{'':23}  not lowest with seed {', '.join(unlucky)}")
    return _ours_is_lowest(everything)


def refuse(policy: Policy, seed: int) -> Run:
    """Let a policy meet bursts of which one pod refuses most, while their mean is far below its target."""
    load = traces.bursts(np.random.default_rng(seed))
    return play(load, FULL, policy, np.random.default_rng(seed + 1000))


def _refused(options: argparse.Namespace) -> None:
    """Print how often a request is refused that comes in a burst, and the replicas that each policy keeps meanwhile."""
    policies: dict[str, Callable[[], Policy]] = {
        "cpu": lambda: CpuAutoscaler(FULL),
        "knative": lambda: Knative(FULL.target),
        "foresail": lambda: Foresail(FULL),
    }
    print(
        f"\nbursts, of which a pod takes {FULL.slots} and {FULL.room} may wait: refusals a request, replicas, changes"
    )
    for name, make in policies.items():
        runs = [refuse(make(), seed) for seed in FRESH_SEEDS[: 6 * options.seeds]]
        share = sum(run.refused.sum() for run in runs) / sum(run.load.sum() for run in runs)
        replicas = sum(run.paid.mean() for run in runs) / len(runs)
        print(f"{name:9}{share:8.2f}{replicas:8.1f}{sum(run.changes for run in runs) / len(runs):8.1f}")


def _recorded(options: argparse.Namespace) -> None:
    setting = Setting(service_seconds=options.service_seconds)
    runs = compete(traces.recorded(options.recorded, options.service_seconds), setting, 0)
    plot.draw(options.out / "recorded.png", str(options.recorded.name), runs)
    _print_means(f"{'recorded':9} {'':6} {'':>5}", [runs])


def _ours_is_lowest(runs: Sequence[Mapping[str, Run]]) -> bool:
    totals = {name: sum(run[name].score for run in runs) for name in POLICIES}
    return totals["foresail"] < min(totals["cpu"], totals["knative"])


def _print_means(label: str, runs: Sequence[Mapping[str, Run]]) -> None:
    cells = []
    for name in POLICIES:
        mine = [run[name] for run in runs]
        under, over, needed, score, changes = (
            sum(getattr(run, field) for run in mine) / len(mine)
            for field in ("under", "over", "needed", "score", "changes")
        )
        cells.append(f"{under:8.0f}{over:8.0f}{over / needed:5.0%}{score:8.0f}{changes:7.0f}")
    print(f"{label}  " + "".join(cells), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=2, help="hours of each trace with fresh seeds")
    parser.add_argument("--trace", nargs="*", default=list(traces.SHAPES), choices=list(traces.SHAPES))
    parser.add_argument("--recorded", type=Path, help="CSV with columns seconds and requests_per_second")
    parser.add_argument("--service-seconds", type=float, default=0.1, help="how long a recorded request takes a pod")
    parser.add_argument("--out", type=Path, default=Path("bench-output/simulate"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
