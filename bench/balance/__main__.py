"""Measure how load is spread, and what that does to latency: by kube-proxy, and by HAProxy.

`python -m bench.balance` (`make bench-balance`) starts a cluster of its own; with --namespace it runs where a cluster's
Services can be reached, with kubectl at hand, on a cluster with Foresail and its images.

Bars: busiest/mean ≤ 1.3 from ten seconds on with connections that age, ≤ 1.1 with HAProxy; p99 of mixed requests at
least twice as good; p50 at most 0.5 ms more.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile

import uvloop

from bench.balance import evenness, latency
from bench.balance.deployed import MODEL, REPLICAS, Deployed

_LONGEST_SECONDS = 900.0


async def measure(namespace: str, wish: argparse.Namespace) -> bool:
    """Measure the parts that are wished for; return whether the bars are met."""
    good = True
    if "latency" in wish.parts:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "model.onnx"
            latency.save_model(file)
            deployed = Deployed(namespace, file.read_bytes(), wish.max_size)
        deployed.apply(REPLICAS, wish.cpu)
        mix = latency.Mix(wish.quick, wish.slow, wish.slow_share)
        good = await latency.latency(deployed, mix, wish.load) and good
    if "even" in wish.parts:
        deployed = Deployed(namespace, evenness.FILE.read_bytes())
        deployed.apply(REPLICAS, "1")
        good = await evenness.spread(deployed, "HAProxy", MODEL, 1.1) and good
        good = await evenness.spread(deployed, "ageing connections", f"{MODEL}-direct", 1.3) and good
        deployed.without_age()
        await evenness.spread(deployed, "without ageing", f"{MODEL}-direct", None)
    return good


def on_own_cluster(words: list[str]) -> int:
    """Start a cluster with Foresail on it, measure from inside, and end it; return the exit status."""
    # Imported here: inside a cluster none of it is needed.
    from foresail_testbed import cluster, options  # noqa: PLC0415
    from tests import installation  # noqa: PLC0415

    machine = cluster.Cluster.start(options.Options(name=cluster.unique_name("balance"), cpu_period_milliseconds=5))
    try:
        with machine.joined():
            installation.install(machine)
            machine.kubectl("create", "namespace", "balance")
            command = machine.enter([sys.executable, "-m", "bench.balance", "--namespace=balance", *words])
            done = subprocess.run(command, env=machine.environment(), timeout=_LONGEST_SECONDS, check=False)
    finally:
        machine.stop()
    return done.returncode


def main() -> None:
    """Measure and print; exit 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench.balance", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--namespace", help="of the cluster that this runs in; without it one is started")
    parser.add_argument("--parts", nargs="+", choices=["even", "latency"], default=["latency", "even"])
    mixed = parser.add_argument_group("latency")
    mixed.add_argument("--load", type=float, default=0.65, help="how much of the time each replica is busy (0.65)")
    mixed.add_argument("--cpu", default="250m", help="limit of each replica (250m)")
    mixed.add_argument(
        "--max-size", type=int, help="serving.batching.maxSize, which says how many a proxy sends at once"
    )
    mixed.add_argument("--quick", type=int, default=1000, help="rounds that most requests ask for (1000)")
    mixed.add_argument("--slow", type=int, default=10_000, help="rounds that the slow ones ask for (10,000)")
    mixed.add_argument("--slow-share", type=float, default=0.05, help="of all requests (0.05)")
    wish = parser.parse_args()
    if wish.namespace is None:
        sys.exit(on_own_cluster(sys.argv[1:]))
    good = uvloop.run(measure(wish.namespace, wish))
    print("every bar was met" if good else "MISSED: see above")
    sys.exit(not good)


if __name__ == "__main__":
    main()
