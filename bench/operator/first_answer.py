"""From apply to the first answer, by phase: `python -m bench.operator.first_answer [--runs 20]`.

A cluster of one real node with the chart installed and every image on it. Each run applies a tabular model under a
new name and asks through its Service, on a connection of its own and again 20 ms after each refusal, until it is
answered. Phases are watch events, the start of the runtime's process (from /proc) and the times of its log lines; all
of it is one machine, so one clock. The model comes from a ConfigMap, so a fetch costs nothing. One
more run, the first, does not count: it fills the page cache, as any earlier pod of the image would have.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import yaml

from bench.operator.client import Client
from foresail_operator.api import kinds
from foresail_operator.desired import meta
from foresail_runtime import contract
from foresail_testbed import options as testbed
from foresail_testbed.cluster import Cluster
from tests import installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.kinds import Kind

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples" / "01-fraud-scoring"
NAMESPACE: Final = "first-answer"
BARS: Final = {"p50": 3.0, "p95": 5.0}
PHASES: Final = (
    ("deployment", "the operator has written the Deployment"),
    ("pod", "the controllers have made a pod"),
    ("bound", "the scheduler has chosen the node"),
    ("process", "the kubelet has started the runtime's process"),
    ("listening", "the runtime listens: Python, its modules, gRPC"),
    ("loaded", "the model is loaded and warmed up"),
    ("answer", "probe, endpoint, kube-proxy: the first answer"),
)
"""Each ends when what it says has happened, and begins where the one before ended."""
_RETRY_SECONDS: Final = 0.02
_LONGEST_SECONDS: Final = 60.0
_TICK: Final = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    cluster = Cluster.start(testbed.Options(name=options.name, kubernetes=options.kubernetes))
    try:
        with cluster.joined():
            installation.install(cluster)
            cluster.kubectl("create", "namespace", NAMESPACE)
            runs = asyncio.run(_measure(cluster, options.runs))
    finally:
        cluster.stop()
    found = summary(runs)
    result = {"wall": time.strftime("%FT%TZ", time.gmtime()), "runs": runs, "table": found}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "first-answer.json").write_text(json.dumps(result, indent=1) + "\n")
    print(table(runs))
    missed = [f"{name} {found['whole'][name]} s" for name, bar in BARS.items() if found["whole"][name] > bar]
    print("MISSED: " + ", ".join(missed) if missed else "every bar was met")
    return 1 if missed else 0


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return p50, p95 and largest seconds of each phase and of the whole."""
    names = [name for name, _ in PHASES] + ["whole"]
    return {name: _spread([run["phases"][name] for run in runs]) for name in names}


def _spread(values: list[float]) -> dict[str, float]:
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return {"p50": round(statistics.median(values), 3), "p95": round(p95, 3), "max": round(max(values), 3)}


def table(runs: list[dict[str, Any]]) -> str:
    """Return the phases as a table."""
    found = summary(runs)
    words = dict(PHASES) | {"whole": f"**apply to first answer** (bars: {BARS['p50']:g} and {BARS['p95']:g} s)"}
    rows = [
        f"| {words[name]} | {one['p50']:.2f} | {one['p95']:.2f} | {one['max']:.2f} |" for name, one in found.items()
    ]
    return "\n".join(("| until | p50 s | p95 s | max s |", "|---|---|---|---|", *rows))


class Watcher:
    """Remembers when what belongs to a model was first seen, by the wall clock."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.address = asyncio.Event()
        self.seen: dict[str, float] = {}
        self.model = ""
        self.service = ""
        self.pod = ""

    def begin(self, model: str) -> None:
        """Look for another model from now on."""
        self.model, self.seen, self.service, self.pod = model, {}, "", ""
        self.address.clear()

    async def run(self) -> None:
        """Watch until cancelled."""
        see: dict[Kind, Callable[[dict[str, Any]], None]] = {
            kinds.DEPLOYMENT: lambda _: self._note("deployment"),
            kinds.SERVICE: self._service,
            kinds.POD: self._pod,
        }
        async with asyncio.TaskGroup() as group:
            for kind, what in see.items():
                group.create_task(self.client.watch(kind, self._of_model(what), whole=True))

    def _of_model(self, what: Callable[[dict[str, Any]], None]) -> Callable[[str, dict[str, Any], float], None]:
        def see(event: str, raw: dict[str, Any], _: float) -> None:
            metadata = raw["metadata"]
            ours = (metadata.get("labels") or {}).get(meta.MODEL_LABEL) == self.model
            if ours and event != "DELETED" and "deletionTimestamp" not in metadata:
                what(raw)

        return see

    def _note(self, phase: str) -> None:
        self.seen.setdefault(phase, time.time())

    def _service(self, raw: dict[str, Any]) -> None:
        address = raw["spec"].get("clusterIP")
        if address not in (None, "", "None"):
            self.service = address
            self.address.set()

    def _pod(self, raw: dict[str, Any]) -> None:
        self.pod = raw["metadata"]["name"]
        self._note("pod")
        if raw["spec"].get("nodeName"):
            self._note("bound")


async def _measure(cluster: Cluster, count: int) -> list[dict[str, Any]]:
    runs = []
    async with Client(cluster.kubeconfig) as client:
        config, model = yaml.safe_load_all((EXAMPLE / "fraud-scoring.yaml").read_text())
        await client.call("POST", kinds.CONFIG_MAP.path(NAMESPACE), config)
        watcher = Watcher(client)
        watching = asyncio.create_task(watcher.run())
        await asyncio.sleep(2)  # the watches are open
        try:
            for number in range(count + 1):
                found = await _once(cluster, watcher, model | {"metadata": {"name": f"fraud-{number}"}})
                if number:
                    runs.append(found)
                    print(json.dumps(found), flush=True)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return runs


async def _once(cluster: Cluster, watcher: Watcher, model: dict[str, Any]) -> dict[str, Any]:
    name, client = model["metadata"]["name"], watcher.client
    watcher.begin(name)
    begun = time.time()
    await client.call("POST", kinds.MODEL_DEPLOYMENT.path(NAMESPACE), model)
    async with asyncio.timeout(_LONGEST_SECONDS):
        await watcher.address.wait()
        refused = await _ask(f"http://{watcher.service}/v2/models/{name}/infer")
    ended = time.time()
    at = watcher.seen | {"process": _process_start(watcher.pod), "answer": ended} | _said(cluster, watcher.pod)
    await client.call("DELETE", kinds.MODEL_DEPLOYMENT.path(NAMESPACE, name))
    # While it drains it takes what the next one may not find on the node.
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=delete", f"pod/{watcher.pod}", "--timeout=60s")
    before, phases = begun, {}
    for phase, _ in PHASES:
        phases[phase] = round(at[phase] - before, 3)
        before = at[phase]
    return {"refused": refused, "phases": phases | {"whole": round(ended - begun, 3)}}


async def _ask(url: str) -> int:
    """Ask until there is an answer; return how often there was none."""
    body, refused = (EXAMPLE / "request.json").read_bytes(), 0
    while True:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(url, data=body, headers={"Content-Type": "application/json"}) as response,
            ):
                await response.read()
                if response.status == 200:
                    return refused
        except aiohttp.ClientError:
            pass
        refused += 1
        await asyncio.sleep(_RETRY_SECONDS)


def _process_start(pod: str) -> float:
    """Return when the process of a pod's runtime was started."""
    wanted = f"{contract.ENV_POD_NAME}={pod}".encode()
    starts = [_started(folder) for folder in Path("/proc").glob("[0-9]*") if wanted in _environment(folder)]
    return min(starts)


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended
        return []


def _started(folder: Path) -> float:
    ticks = int((folder / "stat").read_text().rpartition(")")[2].split()[19])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / _TICK


def _said(cluster: Cluster, pod: str) -> dict[str, float]:
    """Return when the runtime said that it listens and that its model is ready."""
    done = cluster.execute(["kubectl", "-n", NAMESPACE, "logs", pod])
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    at = {line["message"]: _seconds(line["time"]) for line in lines}
    return {"listening": at["listening"], "loaded": at["model ready"]}


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.operator.first_answer", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--name", default="bench-first-answer", help="of the cluster")
    parser.add_argument("--kubernetes", default=testbed.KUBERNETES_VERSION)
    parser.add_argument("--out", type=Path, default=Path("bench-output"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
