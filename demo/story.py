"""The demo, a step a function, in the order in which they are told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from demo import load, plot, record
from demo.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from demo.places import Place
    from demo.screen import Screen

OPERATOR_NAMESPACE: Final = "foresail-system"
NAMESPACE: Final = "default"
MODEL: Final = "retail-shelf"
EXAMPLE: Final = "examples/03-retail-shelf/retail-shelf.yaml"
STORE: Final = "examples/model-store/model-store.yaml"
PICTURE: Final = "tests/pictures/astronaut.png"
SERVICE_PORT: Final = 80
READY_SECONDS: Final = 180.0
LOAD_SECONDS: Final = 150.0
PROXY_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 4.0
QUIET_RATE, BUSY_RATE = 1.0, 30.0
"""Requests a second: one replica is now and then busy, then has more in flight than it should hold."""
AFTER_SECONDS: Final = 6.0
"""How long the load goes on once the new replicas are ready, so that the plot shows their effect."""


@dataclasses.dataclass(frozen=True, slots=True)
class Demo:
    """What the steps share."""

    place: Place
    screen: Screen
    output: Path

    def kubectl(self, *words: str, seconds: float = 180.0, quiet: bool = False) -> str:
        """Run kubectl, and show the command unless it is only a look."""
        if not quiet:
            self.screen.command(["kubectl", *words])
        return self.place.run(["kubectl", *words], seconds)

    def get(self, *words: str) -> Any:
        """Return what kubectl get prints as JSON."""
        return json.loads(self.kubectl("get", *words, "-n", NAMESPACE, "-o", "json", quiet=True))


def build(demo: Demo) -> None:
    """Build the images."""
    with demo.screen.step("Build the images (cached after the first time)"):
        for name in demo.place.build_images():
            demo.screen.say(name)


def start(demo: Demo) -> None:
    """Start the cluster and put the images on it."""
    with demo.screen.step(f"Start a cluster: {demo.place.title}"):
        demo.place.up(demo.screen.note)
        demo.place.load_images()
        demo.screen.say(demo.kubectl("get", "nodes", "--no-headers").strip())


def install(demo: Demo) -> None:
    """Install the chart."""
    with demo.screen.step("Install the operator with helm"):
        words = ["helm", "install", "foresail", "charts/foresail", "--namespace", OPERATOR_NAMESPACE]
        words += ["--create-namespace", "--wait", "--timeout", "120s"]
        demo.screen.command(words)
        demo.place.run(words)


def deploy(demo: Demo) -> None:
    """Apply the detector and wait until it is ready."""
    with demo.screen.step("Apply a detector, nothing but its ModelDeployment"):
        demo.kubectl("apply", "-n", NAMESPACE, "-f", STORE)
        demo.kubectl("apply", "-n", NAMESPACE, "-f", EXAMPLE)
        wait_ready(demo)
        children = demo.kubectl(
            "get", "deployment,service,hpa,pdb,configmap", "-n", NAMESPACE, "-o", "name",
            "-l", "app.kubernetes.io/managed-by=foresail",
        )  # fmt: skip
        demo.screen.say("made for it: " + ", ".join(children.split()))


def wait_ready(demo: Demo) -> None:
    """Wait for the Ready condition and show each word that it says on the way; raises TimeoutError."""
    began, said = time.monotonic(), ""
    while (elapsed := time.monotonic() - began) < READY_SECONDS:
        conditions = demo.get("mdep", MODEL).get("status", {}).get("conditions", [])
        ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
        if ready and ready["reason"] != said:
            said = ready["reason"]
            demo.screen.say(f"{elapsed:5.1f} s  Ready={ready['status']}  {said}: {ready['message']}")
        if ready and ready["status"] == "True":
            return
        time.sleep(0.5)
    raise TimeoutError(f"{MODEL} was not ready within {READY_SECONDS:.0f} s; its last word was {said or 'nothing'}")


def photograph(demo: Demo) -> None:
    """Send a photograph; print the boxes and save the picture with them drawn."""
    with demo.screen.step("Send a photograph"), demo.place.reach(NAMESPACE, MODEL, SERVICE_PORT) as url:
        address = f"{url}/v2/models/{MODEL}/detect"
        demo.screen.command(["curl", address, "--data-binary", f"@{PICTURE}"])
        answer = json.loads(post(address))
        rows = [
            (found["class_name"], f"{found['confidence']:.2f}", "  ".join(f"{side:.0f}" for side in found["box"]))
            for found in answer["detections"]
        ]
        demo.screen.table(("class", "confidence", "box: x1 y1 x2 y2"), rows)
        save(demo, "boxes.png", post(f"{address}?format=png"))


def post(address: str) -> bytes:
    """Post the picture and return the answer's body."""
    headers = {"Content-Type": "image/png"}
    request = urllib.request.Request(address, (ROOT / PICTURE).read_bytes(), headers)  # noqa: S310  # http, ours
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                body: bytes = answer.read()
        except urllib.error.URLError as error:
            # A Service is new for a moment: the model is ready before each node's proxy knows its address.
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() - began > PROXY_SECONDS:
                raise
            time.sleep(0.2)
        else:
            return body


def save(demo: Demo, name: str, body: bytes) -> None:
    """Write a file of the demo's output and say where it is."""
    path = demo.output / name
    path.write_bytes(body)
    demo.screen.say(f"saved {os.path.relpath(path)}")


def scale(demo: Demo) -> None:
    """Drive load until the autoscaler has added replicas, and plot what happened."""
    with demo.screen.step("Load it until the autoscaler adds replicas"):
        with demo.place.reach(NAMESPACE, MODEL, SERVICE_PORT) as url:
            samples, counts = asyncio.run(watch_under_load(demo, f"{url}/v2/models/{MODEL}/detect"))
        path = demo.output / "scaling.png"
        plot.draw(record.moments(samples), "retail-shelf: load, and what the autoscaler made of it", path)
        demo.screen.say(f"saved {os.path.relpath(path)}")
        report(demo, samples, counts)


async def watch_under_load(demo: Demo, url: str) -> tuple[list[record.Sample], load.Counts]:
    """Send, and look at the replicas each second, until they are all there or the time is over."""
    counts, stop = load.Counts(), asyncio.Event()
    most = int(demo.get("mdep", MODEL)["spec"]["scaling"]["maxReplicas"])
    wish = load.Wish(
        url=url,
        body=(ROOT / PICTURE).read_bytes(),
        content_type="image/png",
        rate=lambda seconds: BUSY_RATE if seconds > QUIET_SECONDS else QUIET_RATE,
        most_seconds=LOAD_SECONDS,
    )
    sending = asyncio.create_task(load.drive(wish, counts, stop))
    try:
        samples = await look(demo, counts, most)
    finally:
        stop.set()
        await sending
    return samples, counts


async def look(demo: Demo, counts: load.Counts, most: int) -> list[record.Sample]:
    """Sample each second until `most` replicas have been ready for a while."""
    samples: list[record.Sample] = []
    began = time.monotonic()
    with demo.screen.bar("1 replica", total=LOAD_SECONDS) as bar:
        while (elapsed := time.monotonic() - began) < LOAD_SECONDS:
            deployment = await asyncio.to_thread(demo.get, "deployment", MODEL)
            wanted, ready = record.sizes(deployment)
            samples.append(record.Sample(time.monotonic() - began, wanted, ready, counts.sent, counts.answered))
            bar.show(elapsed, f"{counts.answered} answers, {ready} of {wanted} replicas ready")
            reached = record.first_reached(samples, most)
            if reached is not None and elapsed > reached + AFTER_SECONDS:
                break
            await asyncio.sleep(1)
    return samples


def report(demo: Demo, samples: list[record.Sample], counts: load.Counts) -> None:
    """Print when replicas came and what the clients felt; raises RuntimeError if none came."""
    most = max(sample.ready for sample in samples)
    rows = [
        (f"{size} replicas {what}", f"{seconds - QUIET_SECONDS:.0f} s after the load rose")
        for what, reached in (("asked for", record.first_asked), ("ready", record.first_reached))
        for size in range(2, most + 1)
        if (seconds := reached(samples, size)) is not None
    ]
    rows.append(
        ("requests", f"{counts.answered} answered, {sum(counts.failures.values())} failed {counts.failures or ''}")
    )
    p50, p95 = (record.percentile(counts.latencies, share) * 1000 for share in (50, 95))
    rows.append(("latency", f"p50 {p50:.0f} ms, p95 {p95:.0f} ms"))
    demo.screen.table(("what", "how it went"), rows)
    if most < 2:
        raise RuntimeError(f"no replica was added within {LOAD_SECONDS:.0f} s: `kubectl describe hpa {MODEL}` says why")


def delete(demo: Demo) -> None:
    """Delete the one object and wait until nothing is left of what it made."""
    with demo.screen.step("Delete it: one object takes everything with it"):
        demo.kubectl("delete", "mdep", MODEL, "-n", NAMESPACE)
        kinds = "deployment,service,hpa,pdb,configmap,pod"
        label = "foresail.dev/model"
        began = time.monotonic()
        while left := demo.kubectl("get", kinds, "-n", NAMESPACE, "-l", label, "-o", "name", quiet=True).split():
            if time.monotonic() - began > READY_SECONDS:
                raise TimeoutError(f"still there {READY_SECONDS:.0f} s after the delete: {', '.join(left)}")
            time.sleep(1)
        demo.screen.say(f"nothing left after {time.monotonic() - began:.0f} s")


def diagnose(demo: Demo) -> None:
    """Save what the pods, the events and the logs say, for a step that failed."""
    looks = [
        ["kubectl", "get", "pods,deployments,hpa,mdep", "-A", "-o", "wide"],
        ["kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp"],
        ["kubectl", "logs", "-n", OPERATOR_NAMESPACE, "deployment/foresail", "--tail=100"],
        ["kubectl", "logs", "-n", NAMESPACE, f"deployment/{MODEL}", "--tail=100"],
        ["kubectl", "get", "mdep", "-A", "-o", "yaml"],
    ]
    path = demo.output / "failure.txt"
    with path.open("w") as file:
        for words in looks:
            try:
                seen = demo.place.run(words, seconds=30)
            except Exception as error:  # noqa: BLE001  # a look that fails is worth a line, not a second failure
                seen = str(error)
            file.write(f"$ {' '.join(words)}\n{seen}\n")
    demo.screen.say(f"what the cluster says is in {os.path.relpath(path)}")
