"""Measure the operator: `python -m bench.operator [--sizes 100 250 500] [--idle 300] [--name bench-operator]`.

Each size gets a fresh control plane and a fresh operator. Models are created four at a time as fast as they are
answered; children and Ready are counted from the start of the create call to the watch event that shows them. Requests
come from the API server's audit log, CPU and memory from /proc. After the largest burst: rest, repairs, a restart,
foreign objects.

All models are in one namespace, of which Kubernetes' own controllers list the pods, slices and budgets again and again
at each look; `--each-namespace 100` spreads the models, as teams do. Everything shares the machine's cores, so seconds
say little about a real cluster. Exits 1 when a bar is missed; what it was is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.operator import bars, burst, chores, report, stage
from bench.operator.audit import Log
from bench.operator.client import Client
from foresail_testbed import options as testbed

if TYPE_CHECKING:
    from foresail_testbed.cluster import Cluster

_NODES = 10
_CHILDREN = 7
"""ConfigMap, Deployment, two Services, the activator's EndpointSlice, HorizontalPodAutoscaler, PodDisruptionBudget."""


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = []
    for size in options.sizes:
        runs.append(_run(size, options, last=size == options.sizes[-1]))
        (options.out / "operator.json").write_text(json.dumps(runs, indent=1) + "\n")
        print(report.table(runs), flush=True)
    report.draw(runs, options.out / "operator.png")
    print(json.dumps({name: value for name, value in runs[-1].items() if isinstance(value, dict)}, indent=1))
    missed = bars.missed(runs)
    print("MISSED: " + "; ".join(missed) if missed else "every bar was met")
    return 1 if missed else 0


def _run(size: int, options: argparse.Namespace, *, last: bool) -> dict[str, Any]:
    plane = stage.start(options.name, _NODES, options.kubernetes)
    try:
        with plane.joined():
            operator = stage.Operator(plane, options.package, tuple(options.under))
            try:
                operator.wait_until_leading()
                chosen = options if last else argparse.Namespace(**vars(options) | {"idle": 0, "each": 0, "foreign": 0})
                return asyncio.run(_measure(plane, operator, size, chosen))
            finally:
                operator.stop()
    finally:
        plane.stop()


async def _measure(plane: Cluster, operator: stage.Operator, size: int, options: argparse.Namespace) -> dict[str, Any]:
    log = Log(plane.run.audit)
    async with Client(plane.kubeconfig) as client:
        for name in burst.namespaces(size, options.each_namespace):
            await client.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        watcher = burst.Watcher(client)
        watching = asyncio.create_task(watcher.run())
        await asyncio.sleep(2)  # the watches are open, the namespaces have their accounts
        try:
            return await _burst_and_chores(watcher, log, operator, size, options)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _burst_and_chores(
    watcher: burst.Watcher, log: Log, operator: stage.Operator, size: int, options: argparse.Namespace
) -> dict[str, Any]:
    log.take()
    before = operator.usage()
    result = {"wall": time.strftime("%FT%TZ", time.gmtime()), "idle_memory_mb": before["memory_mb"]}
    result |= await burst.create(watcher, size, options.each_namespace, _CHILDREN, options.timeout)
    ready = operator.usage()
    requests = await chores.settle(log, 90)
    settled = operator.usage()
    result |= {
        "cpu_ms": round(1000 * (ready["cpu_s"] - before["cpu_s"]) / size, 1),
        "cpu_ms_settled": round(1000 * (settled["cpu_s"] - before["cpu_s"]) / size, 1),
        "writes_a_model": round(requests.writes / size, 2),
        "reads_a_model": round(requests.reads / size, 2),
        "memory_mb": settled["memory_mb"],
        "peak_mb": settled["peak_mb"],
        "requests": requests.report(),
    }
    (options.out / "operator-burst.json").write_text(json.dumps(result, indent=1) + "\n")  # the rest takes long
    if options.idle:
        result["rest"] = await chores.rest(log, operator, options.idle)
    if options.each:
        result["repairs"] = await chores.repairs(watcher, options.each)
        await chores.settle(log, 60)
        result["restart"] = await chores.restart(log, operator, watcher, size)
    if options.foreign:
        result["foreign"] = await chores.foreign(watcher, operator, options.foreign)
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.operator", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 250, 500], help="models applied at once")
    parser.add_argument("--each-namespace", type=int, default=0, help="models in each namespace; 0: all in one")
    parser.add_argument("--idle", type=float, default=300, help="seconds of rest that are looked at; 0: none")
    parser.add_argument("--each", type=int, default=100, help="children of each kind to delete and edit; 0: none")
    parser.add_argument("--foreign", type=int, default=5000, help="pods and Deployments of others; 0: none")
    parser.add_argument("--timeout", type=float, default=300, help="seconds until all must be Ready")
    parser.add_argument("--name", default="bench-operator", help="of the cluster")
    parser.add_argument("--kubernetes", default=testbed.KUBERNETES_VERSION)
    parser.add_argument(
        "--package", type=Path, help="take foresail_operator from this folder, say of an older checkout"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-output"))
    parser.add_argument(
        "--under", nargs=argparse.REMAINDER, default=[], help="the operator's command, say a profiler's"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
