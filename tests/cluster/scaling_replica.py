"""Processes for the scaling tests: `python -m tests.cluster.scaling_replica replica|pod CONFIG.json`.

`replica` is what one replica of the operator does about scaling, without the rest of it: the half-second look, the
burst path and the metrics API. `pod` is a stub of a runtime that carries as many requests as a file says.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import os
import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any

from foresail_operator import access
from foresail_operator.api.kinds import DEPLOYMENT
from foresail_operator.kube import Kube
from foresail_operator.metrics import Metrics
from foresail_operator.scaling import burst, decide
from foresail_operator.scaling.control import Control, Scaled
from foresail_operator.scaling.metrics_api import Described, MetricsApi
from foresail_operator.scaling.mode import Service
from foresail_operator.scaling.model import Goal, Plan
from foresail_operator.scaling.registration import Registration
from foresail_operator.scaling.scrape import Pod, Scraper
from foresail_operator.scaling.server import MetricsServer
from foresail_operator.scaling.signal import Kind
from foresail_runtime.contract import Load

if TYPE_CHECKING:
    from foresail_operator.scaling.decide import Advice
    from foresail_operator.scaling.front_proxy import FrontProxy


class StubPod(asyncio.Protocol):
    """Answers what a runtime with so many requests inside would answer."""

    file: pathlib.Path
    since = time.monotonic()
    load_seconds = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        carried, now = float(self.file.read_text()), time.monotonic()
        StubPod.load_seconds += carried * (now - StubPod.since)
        StubPod.since = now
        body = Load("ready", int(carried), 0, int(now * 10), StubPod.load_seconds).encode().encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def pod(config: dict[str, Any]) -> None:
    """Be a pod, until killed."""
    StubPod.file = pathlib.Path(config["load"])
    server = await asyncio.get_running_loop().create_server(StubPod, "127.0.0.1", config["pod_port"])
    await server.serve_forever()


class Replica:
    """One model's autoscaling, wired as an operator wires it."""

    def __init__(self, config: dict[str, Any], kube: Kube) -> None:
        self.config = config
        self.kube = kube
        goal = Goal(Kind.CONCURRENCY, config["target"])
        bounds = decide.Bounds(1, config["maximum"])
        self.key = (config["namespace"], config["name"])
        self.model = Scaled(
            self.key,
            Plan((goal,), bounds, config["delay_seconds"]),
            replicas=0,
            pods=(Pod("pod", "127.0.0.1", config["pod_port"]),),
            described=Described(*self.key, {}, {"foresail.dev/model": config["name"]}),
        )
        self.control = Control(Scraper(), lambda: [self.model], self.rise, lambda: bool(config["leads"]))
        service = Service(config["namespace"], config["service"])
        self.registration = Registration(
            kube, service, "foresail-metrics", leads=lambda: bool(config["leads"]), now=lambda: dt.datetime.now(dt.UTC)
        )
        api = MetricsApi(
            self.control, lambda: dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), lambda: self.proxy
        )
        self.proxy: FrontProxy | None = None
        self.server = MetricsServer(api.application(), config["address"], config["api_port"])

    async def rise(self, key: tuple[str, str], advice: Advice) -> None:
        await burst.raise_to(self.kube, key[0], key[1], advice)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.control.run())
            group.create_task(self.follow_size())
            group.create_task(self.keep_registered())

    async def follow_size(self) -> None:
        while True:
            scale = await self.kube.get(DEPLOYMENT, *self.key, "scale")
            self.model = dataclasses.replace(self.model, replicas=scale["spec"].get("replicas", 0))
            await asyncio.sleep(0.2)

    async def keep_registered(self) -> None:
        while True:
            state = await self.registration.look()
            self.proxy = state.proxy
            if state.chain is not None and state.proxy is not None:
                await self.server.serve(state.chain, state.proxy)
            await asyncio.sleep(1.0)


async def replica(config: dict[str, Any]) -> None:
    """Be a replica, until killed."""
    found = await access.find(os.environ)
    async with found.session() as session:
        await Replica(config, Kube(session, Metrics(), lambda: None)).run()


def main() -> None:
    """Run what the command line says."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    config = json.loads(pathlib.Path(sys.argv[2]).read_text())
    asyncio.run(replica(config) if sys.argv[1] == "replica" else pod(config))


if __name__ == "__main__":
    main()
