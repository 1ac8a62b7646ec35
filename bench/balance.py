"""How evenly load is spread over replicas, and what that does to latency: by kube-proxy, and by HAProxy.

Runs where the cluster's Services can be reached, with kubectl at hand, on a cluster with Foresail and its images, e.g.
foresail-testbed exec --name NAME -- .venv/bin/python -m bench.balance --namespace NAMESPACE
`make bench-balance` starts one of its own.

Bars: busiest/mean ≤ 1.3 from ten seconds on with connections that age, ≤ 1.1 with HAProxy; p99 of mixed requests at
least twice as good; p50 at most 0.5 ms more.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import dataclasses
import itertools
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import grpc
import uvloop

from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MODEL: Final = "mlp"
FILE: Final = pathlib.Path(__file__).parents[1] / "tests/runtime/models/mlp.onnx"
CONNECTIONS: Final = 64
REPLICAS: Final = 4
WINDOW_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
"""Between an answer and a client's next request in the runs that only look at evenness."""
CPU: Final = "250m"
"""Of each replica where latency is measured, unless said: four of them and all that is around them share two cores."""
_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_COUNTED: Final = re.compile(r'^foresail_requests_total\{.*way="(\w+)".*\} (\S+)$', re.MULTILINE)
_NEVER_SECONDS: Final = 1_000_000


def kubectl(namespace: str, *words: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", "-n", namespace, *words], capture_output=True, text=True, timeout=180, check=False, input=stdin
    )
    if done.returncode:
        sys.exit(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


def body(rows: int) -> bytes:
    tensor = {"name": "input", "shape": [rows, 32], "datatype": "FP32", "data": [0.5] * (32 * rows)}
    return json.dumps({"inputs": [tensor]}).encode()


def request(rows: int) -> bytes:
    data = body(rows)
    head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: {MODEL}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def message() -> bytes:
    made = oip_pb2.ModelInferRequest(model_name=MODEL)
    made.inputs.add(name="input", datatype="FP32", shape=[1, 32]).contents.fp32_contents.extend([0.5] * 32)
    return made.SerializeToString()


@dataclasses.dataclass(frozen=True)
class Mix:
    """Requests that differ in length: rows of the many, rows of the few, and how few."""

    quick_rows: int = 1
    slow_rows: int = 1
    slow_share: float = 0.0


@dataclasses.dataclass
class Deployed:
    """The model on the cluster."""

    namespace: str
    max_size: int | None = None
    """Of a batch, which gives HAProxy a replica's share."""

    def apply(self, replicas: int, cpu: str) -> None:
        """Apply the model and wait until all of it is there."""
        data = base64.b64encode(FILE.read_bytes()).decode()
        models = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "models"}, "binaryData": {"m": data}}
        spec: dict[str, Any] = {
            "model": {"uri": "configmap://models/m"},
            "loadBalancing": "request",
            "replicas": replicas,
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": cpu, "memory": "512Mi"}},
            "serving": {"timeoutSeconds": 10, **({"batching": {"maxSize": self.max_size}} if self.max_size else {})},
        }
        model = {
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": MODEL},
            "spec": spec,
        }
        for manifest in (models, model):
            kubectl(self.namespace, "apply", "-f", "-", stdin=json.dumps(manifest))
        kubectl(self.namespace, "wait", "--for=condition=Ready", f"mdep/{MODEL}", "--timeout=120s")
        self.settle()

    def scale(self, replicas: int) -> None:
        kubectl(self.namespace, "scale", f"mdep/{MODEL}", f"--replicas={replicas}")
        self.settle(replicas)

    def settle(self, replicas: int | None = None) -> None:
        """Wait until the rollout is through, no replica is on its way out, and the proxies are in the Service."""
        deadline = time.monotonic() + 150
        while not self._settled(replicas):
            if time.monotonic() > deadline:
                sys.exit("the model does not settle")
            time.sleep(0.2)

    def _settled(self, replicas: int | None) -> bool:
        deployment = json.loads(kubectl(self.namespace, "get", f"deployment/{MODEL}", "-o", "json"))
        wanted, status = deployment["spec"]["replicas"], deployment["status"]
        pods = json.loads(kubectl(self.namespace, "get", "pods", "-l", f"foresail.dev/model={MODEL}", "-o", "json"))
        service = json.loads(kubectl(self.namespace, "get", f"service/{MODEL}", "-o", "json"))
        led = "foresail.dev/proxy" in service["spec"]["selector"]
        return (
            replicas in (None, wanted)
            and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            and status.get("readyReplicas") == status.get("updatedReplicas") == wanted == len(pods["items"])
            and led
        )

    def without_age(self) -> None:
        """Let connections last: a variable beside those that the operator writes."""
        kubectl(self.namespace, "set", "env", f"deployment/{MODEL}", f"FORESAIL_CONNECTION_SECONDS={_NEVER_SECONDS}")
        self.settle()

    def address(self, service: str) -> str:
        return kubectl(self.namespace, "get", f"service/{service}", "-o", "jsonpath={.spec.clusterIP}")

    def replicas(self) -> list[str]:
        words = ("get", "pods", "-l", f"foresail.dev/model={MODEL}", "-o", "jsonpath={.items[*].status.podIP}")
        return kubectl(self.namespace, *words).split()


class Clients:
    """Kept connections that ask again and again, or when they are told to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.failures: collections.Counter[str] = collections.Counter()
        self.answered = 0

    async def http(self, when: Callable[[], float], latencies: list[float], mix: Mix = Mix()) -> None:
        """Ask over HTTP/1.1 on a connection of its own; `when` gives the time of the next request."""
        quick, slow = request(mix.quick_rows), request(mix.slow_rows)
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        try:
            while True:
                due = when()
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due = due or time.perf_counter()
                try:
                    if reader is None or writer is None:
                        reader, writer = await asyncio.open_connection(self.address, 80)
                    writer.write(slow if random.random() < mix.slow_share else quick)
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.failures[repr(error)] += 1
                    reader = writer = None
                    continue
                latencies.append(time.perf_counter() - due)
                if head.startswith(b"http/1.1 200"):
                    self.answered += 1
                else:
                    self.failures[head.partition(b"\r\n")[0].decode()] += 1
                if b"connection: close" in head:
                    writer.close()
                    reader = writer = None
        finally:
            if writer is not None:
                writer.close()

    async def grpc(self) -> None:
        """Ask over gRPC on a channel of its own."""
        data = message()
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"{self.address}:8081", options) as channel:
            infer = channel.unary_unary(_METHOD)
            while True:
                try:
                    await infer(data, timeout=30)
                    self.answered += 1
                except grpc.aio.AioRpcError as error:
                    self.failures[f"{error.code()}: {error.details()}"] += 1
                await asyncio.sleep(PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def running(tasks: list[asyncio.Task[None]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise done


@contextlib.asynccontextmanager
async def both(address: str) -> AsyncIterator[Clients]:
    """Keep 64 HTTP connections and 64 gRPC channels busy."""
    clients = Clients(address)

    def soon() -> float:
        return time.perf_counter() + PAUSE_SECONDS

    tasks = [asyncio.create_task(clients.http(soon, [])) for _ in range(CONNECTIONS)]
    tasks += [asyncio.create_task(clients.grpc()) for _ in range(CONNECTIONS)]
    async with running(tasks):
        yield clients


def counts(replicas: list[str]) -> dict[str, list[float]]:
    """Return the requests that each replica has answered, by protocol."""
    found: dict[str, list[float]] = {"http": [], "grpc": []}
    for address in replicas:
        with urllib.request.urlopen(f"http://{address}:8080/metrics", timeout=5) as answer:
            by_way = dict.fromkeys(found, 0.0)
            for way, number in _COUNTED.findall(answer.read().decode()):
                by_way["grpc" if way == "grpc" else "http"] += float(number)
        for protocol, number in by_way.items():
            found[protocol].append(number)
    return found


async def evenness(replicas: list[str]) -> dict[str, tuple[float, float]]:
    """Return busiest/mean in the first window and in the second one, by protocol."""
    seen = [await asyncio.to_thread(counts, replicas)]
    for _ in range(2):
        await asyncio.sleep(WINDOW_SECONDS)
        seen.append(await asyncio.to_thread(counts, replicas))
    result = {}
    for protocol in seen[0]:
        ratios = []
        for before, after in itertools.pairwise(seen):
            done = [late - early for early, late in zip(before[protocol], after[protocol], strict=True)]
            ratios.append(max(done) / statistics.mean(done))
        result[protocol] = (ratios[0], ratios[1])
    return result


async def spread(deployed: Deployed, name: str, service: str, bar: float | None) -> bool:
    """Measure against four replicas, and just after two became four."""
    good = True
    for situation in ("4 replicas", "2 to 4"):
        if situation == "2 to 4":
            await asyncio.to_thread(deployed.scale, 2)
        async with both(deployed.address(service)) as clients:
            if situation == "2 to 4":
                await asyncio.sleep(2)
                await asyncio.to_thread(deployed.scale, REPLICAS)
            measured = await evenness(deployed.replicas())
        for protocol, (first, second) in measured.items():
            verdict = "" if bar is None else f" (bar {bar}: {'met' if second <= bar else 'MISSED'})"
            good = good and (bar is None or second <= bar)
            print(
                f"{name:18} {situation:10} {protocol:4} busiest/mean {first:.2f} in the first 10 s, "
                f"{second:.2f} in the next{verdict}; {clients.answered} answered, failed: {dict(clients.failures)}",
                flush=True,
            )
            good = good and not clients.failures
    return good


async def closed_rate(address: str, mix: Mix, seconds: float) -> float:
    """Return how many mixed requests a second 64 clients get answered when they never pause."""
    clients = Clients(address)
    tasks = [asyncio.create_task(clients.http(lambda: 0.0, [], mix)) for _ in range(CONNECTIONS)]
    async with running(tasks):
        await asyncio.sleep(2)
        before = clients.answered
        await asyncio.sleep(seconds)
        return (clients.answered - before) / seconds


def poisson(rate: float) -> Callable[[], float]:
    """Return what gives the next of a client's requests its time: at random, at a mean rate."""
    due = time.perf_counter()

    def when() -> float:
        nonlocal due
        due += random.expovariate(rate)
        return due

    return when


async def mixed(address: str, mix: Mix, rate: float, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Return p50 and p99 in milliseconds of mixed requests that come at a rate, whoever is busy."""
    clients, latencies = Clients(address), list[float]()
    each = [clients.http(poisson(rate / CONNECTIONS), latencies, mix) for _ in range(CONNECTIONS)]
    async with running([asyncio.create_task(one) for one in each]):
        await asyncio.sleep(seconds)
    parts = statistics.quantiles(latencies, n=100)
    return parts[49] * 1000, parts[98] * 1000, dict(clients.failures)


async def alone(address: str, seconds: float) -> float:
    """Return the p50 in milliseconds of one request after the other, each 20 ms."""
    clients, latencies = Clients(address), list[float]()
    task = asyncio.create_task(clients.http(poisson(50), latencies))
    async with running([task]):
        await asyncio.sleep(seconds)
    return statistics.median(latencies) * 1000


async def latency(deployed: Deployed, mix: Mix, load: float) -> bool:
    """Measure both ways to the same replicas in turn."""
    ways = {"kube-proxy": deployed.address(f"{MODEL}-direct"), "HAProxy": deployed.address(MODEL)}
    single: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, address in ways.items():
            single[name].append(await alone(address, 4))
    medians = {name: statistics.median(found) for name, found in single.items()}
    added = medians["HAProxy"] - medians["kube-proxy"]
    print(f"one at a time: p50 {medians}, added {added:.2f} ms (bar 0.5: {'met' if added <= 0.5 else 'MISSED'})")
    most = min([await closed_rate(address, mix, 6) for address in ways.values()])
    tails: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, address in ways.items():
            p50, p99, failures = await mixed(address, mix, load * most, 10)
            tails[name].append(p99)
            print(
                f"mixed, {load:.0%} of {most:.0f}/s, {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms; failed: {failures}",
                flush=True,
            )
    gain = statistics.median(tails["kube-proxy"]) / statistics.median(tails["HAProxy"])
    print(f"p99 of mixed requests: HAProxy {gain:.1f} times better (bar 2: {'met' if gain >= 2 else 'MISSED'})")
    return added <= 0.5 and gain >= 2


async def measure(deployed: Deployed, parts: set[str], mix: Mix, load: float, cpu: str) -> bool:
    good = True
    if "latency" in parts:
        deployed.apply(REPLICAS, cpu)
        good = await latency(deployed, mix, load) and good
    if "even" in parts:
        deployed.apply(REPLICAS, "1")
        good = await spread(deployed, "HAProxy", MODEL, 1.1) and good
        good = await spread(deployed, "ageing connections", f"{MODEL}-direct", 1.3) and good
        deployed.without_age()
        await spread(deployed, "without ageing", f"{MODEL}-direct", None)
    return good


def on_own_cluster(words: list[str]) -> int:
    """Start a cluster with Foresail on it, measure from inside, and end it; return the exit status."""
    # Imported here: inside a cluster none of it is needed.
    from foresail_testbed import cluster, options  # noqa: PLC0415
    from tests import installation  # noqa: PLC0415

    machine = cluster.Cluster.start(options.Options(name=cluster.unique_name("balance")))
    try:
        with machine.joined():
            installation.install(machine)
            machine.kubectl("create", "namespace", "balance")
            done = machine.execute([sys.executable, "-m", "bench.balance", "--namespace=balance", *words], seconds=900)
    finally:
        machine.stop()
    print(done.stdout, done.stderr, sep="")
    return done.returncode


def main() -> None:
    """Measure and print; exit 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", help="of the cluster that this runs in; without it one is started")
    parser.add_argument("--parts", nargs="+", choices=["even", "latency"], default=["latency", "even"])
    parser.add_argument("--load", type=float, default=0.7, help="share of what the replicas can take")
    parser.add_argument("--cpu", default=CPU, help="limit of each replica where latency is measured")
    parser.add_argument("--max-size", type=int, help="serving.batching.maxSize")
    parser.add_argument("--quick-rows", type=int, default=100)
    parser.add_argument("--slow-rows", type=int, default=4000)
    parser.add_argument("--slow-share", type=float, default=0.01)
    wish = parser.parse_args()
    if wish.namespace is None:
        sys.exit(on_own_cluster(sys.argv[1:]))
    mix = Mix(wish.quick_rows, wish.slow_rows, wish.slow_share)
    deployed = Deployed(wish.namespace, wish.max_size)
    sys.exit(not uvloop.run(measure(deployed, set(wish.parts), mix, wish.load, wish.cpu)))


if __name__ == "__main__":
    main()
