"""Puts the operator together and runs it: watches, queue, leader, sweeps and probes, each a task with this owner."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

import kopf
from aiohttp import web
from kopf._core.engines import peering

from foresail_operator import errors, handlers, memory, probes, sockets, sweep
from foresail_operator.api import kinds
from foresail_operator.apply import Applier
from foresail_operator.clocks import Clocks, rfc3339
from foresail_operator.desired import proxy
from foresail_operator.desired.images import Images
from foresail_operator.events import Recorder
from foresail_operator.kube import Kube
from foresail_operator.leader import Leader
from foresail_operator.metrics import Metrics, ModelConditions
from foresail_operator.observe import Cache
from foresail_operator.queue import Queue
from foresail_operator.reconcile import Reconciler
from foresail_operator.scaling.autoscaling import Autoscaling, Endpoint
from foresail_operator.scaling.mode import Service
from foresail_operator.standby import Place, Standby
from foresail_operator.watch import Watch

if TYPE_CHECKING:
    import aiohttp

    from foresail_operator.access import Access
    from foresail_operator.api.kinds import Kind
    from foresail_operator.live import Key
    from foresail_operator.settings import Settings

_LOG: Final = logging.getLogger(__name__)
_SWEEP_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 3.0
_CRD_POLL_SECONDS: Final = 2.0


def _metrics_endpoint(settings: Settings) -> Endpoint | None:
    """Return where the metrics API is; None in an install without one."""
    if not settings.metrics_service:
        return None
    service = Service(settings.pod_namespace, settings.metrics_service)
    return Endpoint(service, settings.http_host, settings.metrics_port)


def _images(settings: Settings) -> Images:
    """Return the runtime images of this install."""
    return Images(
        settings.runtime_image,
        settings.runtime_image_openvino,
        settings.runtime_image_gpu,
        settings.runtime_pull_policy,
    )


def _proxies(settings: Settings) -> proxy.Setup:
    return proxy.Setup(
        settings.proxy_image,
        settings.proxy_pull_policy,
        settings.cluster_domain,
        ipv6=settings.ipv6,
        hold_seconds=settings.hold_seconds,
    )


def _activator(settings: Settings) -> Place | None:
    """Return where the activator is; None in an install without one."""
    if not settings.activator_service:
        return None
    return Place(settings.pod_namespace, settings.activator_service, settings.wake_name)


class Operator:
    """One replica of the operator."""

    def __init__(self, settings: Settings, access: Access, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._access = access
        self.metrics = Metrics()
        self.cache = Cache()
        unfenced = Kube(session, self.metrics, lambda: None)
        self.leader = Leader(
            unfenced,
            settings.pod_namespace,
            settings.pod_name,
            lease=settings.lease_name,
            metrics=self.metrics,
            clock=time.monotonic,
            now=rfc3339,
        )
        self._kube = Kube(session, self.metrics, self.leader.fence)
        self._applier = Applier(self._kube, self.cache, time.monotonic)
        self._standby = Standby(self._kube, self.cache, _activator(settings), self._look_again)
        self._scaling = Autoscaling(
            self._kube,
            self.cache,
            metrics=self.metrics,
            leads=lambda: self.leader.leading,
            changed=self._look_again,
            endpoint=_metrics_endpoint(settings),
            clock=time.monotonic,
        )
        reconciler = Reconciler(
            self._kube,
            self.cache,
            self._applier,
            scaling=self._scaling,
            standby=self._standby,
            recorder=Recorder(self._kube, settings.pod_name),
            images=_images(settings),
            proxies=_proxies(settings),
            clocks=Clocks(time.monotonic, rfc3339),
            crowded=lambda: self.queue.newcomers > 0,
        )
        self.queue = Queue(reconciler.look, self.metrics, time.monotonic, random.random, reconciler.newcomer)
        self._measure()
        self.watching = asyncio.Event()
        """Set once kopf runs, which then has put its own signal handlers in place."""
        self._listed = asyncio.Event()
        self._synced = asyncio.Event()
        self._sweeps = sweep.Sweeps(
            self._kube, self.cache, settings.namespaces, metrics=self.metrics, found=self._look_again
        )

    def _measure(self) -> None:
        """Have the metrics read what is known when they are asked for."""
        self.metrics.queue_depth.set_function(lambda: self.queue.depth)
        self.metrics.queue_age.set_function(self.queue.oldest_seconds)
        self.metrics.models.set_function(lambda: len(self.cache.models()))
        self.metrics.registry.register(ModelConditions(self.cache.conditions, lambda: self.leader.leading))

    def sink(self, kind: Kind, event: str | None, raw: dict[str, Any]) -> None:
        """Take in a watch event."""
        self.metrics.events.labels(kind.name).inc()
        if event == "DELETED":
            gone = self.cache.forget(raw["metadata"]["uid"], int(raw["metadata"].get("resourceVersion", 0)))
            keys: tuple[Key, ...] = () if gone is None else (gone,)
            self._applier.forget(raw["metadata"]["uid"])
        else:
            keys = self.cache.note(kind, raw)
        for key in keys:
            self.queue.add(key)
        if kind is kinds.POD:
            self._scaling.see_pod(event, raw)

    def _look_again(self, key: Key) -> None:
        self.queue.add(key)

    def known(self, kind: Kind, namespace: str | None) -> list[str]:
        """Return the uids of what is known of a kind."""
        return self.cache.uids(kind, namespace)

    def sick(self) -> str | None:
        """Return why this process should be restarted, or None."""
        if (age := self.queue.oldest_seconds()) > probes.STUCK_SECONDS:
            return f"a key waits since {age:.0f} s"
        return self._sweeps.behind()

    def unready(self) -> str | None:
        """Return why this replica could not lead, or None."""
        return None if self._synced.is_set() else "the watches have not shown everything yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        runner = web.AppRunner(probes.app(self.sick, self.unready, self.metrics), access_log=None)
        await runner.setup()
        try:
            await web.SockSite(runner, sockets.listen(self._settings.http_host, self._settings.http_port)).start()
            await self._run_tasks(stop)
        finally:
            await runner.cleanup()

    async def _run_tasks(self, stop: asyncio.Event) -> None:
        """Run the parts; when one ends or `stop` is set, end all, the lease last."""
        ended = asyncio.Event()
        watches = asyncio.create_task(self._watch(ended), name="watches")
        work = [
            asyncio.create_task(self.queue.run(self._settings.workers), name="queue"),
            asyncio.create_task(self._follow(), name="children's watches"),
            asyncio.create_task(self._keep_swept(), name="sweeps"),
            asyncio.create_task(self._scaling.run(), name="scaling"),
            asyncio.create_task(self._lead(), name="leader"),
            asyncio.create_task(memory.keep_small(), name="memory"),
        ]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({watches, stopped, *work}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                _LOG.error("a part of the operator ended", extra={"part": task.get_name()}, exc_info=task.exception())
                raise errors.OperatorError(f"{task.get_name()} ended")
        finally:
            for task in (*work, stopped):
                task.cancel()
            await asyncio.gather(*work, stopped, return_exceptions=True)
            await self.leader.give_back()
            ended.set()
            _, late = await asyncio.wait({watches}, timeout=_STOP_SECONDS)
            for task in late:  # a watch whose connection went silent ends in its own time otherwise
                task.cancel()
            await asyncio.wait({watches}, timeout=_STOP_SECONDS)

    async def _watch(self, stop: asyncio.Event) -> None:
        await self._wait_for_resource()
        names = self._settings.namespaces
        await kopf.operator(
            registry=handlers.register(self.sink, self._access),
            settings=handlers.settings(),
            # kopf would ask for the user's name, and a pod's numeric user has none
            identity=peering.Identity(self._settings.pod_name),
            clusterwide=not names,
            namespaces=names,
            stop_flag=stop,
            ready_flag=self.watching,
        )

    async def _follow(self) -> None:
        """Watch children and pods until cancelled; each watch holds a connection of its own."""
        async with self._access.session(connections=0) as session, asyncio.TaskGroup() as group:
            kube = Kube(session, self.metrics, lambda: None)
            watches = []
            for kind, namespace in itertools.product(
                (*kinds.CHILDREN, kinds.POD), self._settings.namespaces or (None,)
            ):
                watch = Watch(kube, kind, namespace, sweep.selector(kind), sink=self, jitter=random.random)
                watches.append(watch)
            watches += self._standby.watches(kube)
            for watch in watches:
                group.create_task(watch.run())
            await asyncio.gather(*(watch.listed.wait() for watch in watches))
            self._listed.set()

    async def _wait_for_resource(self) -> None:
        """Wait until the API server knows ModelDeployments; kopf looks once, at its start."""
        namespace = next(iter(self._settings.namespaces), None)
        while True:
            try:
                await self._kube.list(kinds.MODEL_DEPLOYMENT, namespace, {"limit": "1"})
            except errors.ApiError as error:
                _LOG.warning("waiting for the CRD and the right to list it", extra={"error": str(error)})
                await asyncio.sleep(_CRD_POLL_SECONDS)
            else:
                return

    async def _lead(self) -> None:
        await self._synced.wait()
        await self._scaling.wait_known()
        await self.leader.run(self._start, self.queue.close)

    def _start(self) -> None:
        self._standby.begin()
        for key in self.cache.models():
            self.queue.add(key)
        self.queue.open()

    async def _keep_swept(self) -> None:
        """Compare every kind again and again; at the start, those of our own watches have just been listed."""
        await self._sweeps.sweep((kinds.MODEL_DEPLOYMENT,))
        await self._listed.wait()
        self._synced.set()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await self._sweeps.sweep(sweep.KINDS)
