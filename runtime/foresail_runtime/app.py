"""A server from start to end; every task and thread it starts ends here.

```
 start: HTTP and gRPC listen (not ready) ── load the model ── ready
 SIGTERM: not ready ── keep accepting for drain_seconds ── close the sockets ── end what is in flight ── exit 0
 failure: the reason to the termination message ── exit 1
```
The event loop's thread owns all state. Engines run on a thread of their own a model, pictures are decoded and
files read on the workers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from foresail_runtime import contract, errors, health, loading, logs, metrics, serving, termination
from foresail_runtime.web import dispatch, server

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_runtime.settings import Settings

log = logging.getLogger(__name__)

EXIT_FAILED: Final = 1
WATCH_SECONDS: Final = 2.0
"""How often runs are looked at that may hang."""
HANG_FACTOR: Final = 10
RESERVE_SECONDS: Final = 2.0
"""For the answers of requests that ended at their deadline to be written."""


class GrpcServer(Protocol):
    """What the app needs of the gRPC server."""

    async def start(self) -> int:
        """Listen and return the port."""

    async def stop(self, grace_seconds: float) -> None:
        """End the calls in flight and stop."""

    def set_serving(self, serving: bool) -> None:
        """Say to health checks whether requests are welcome."""


class App:
    """One process serving one model."""

    def __init__(
        self, settings: Settings, description: contract.ModelDescription, on_ready: Callable[[App], None] | None = None
    ) -> None:
        self.settings: Final = settings
        self.description: Final = description
        self.health: Final = health.Health()
        self.metrics: Final = metrics.Metrics(triton_names=settings.triton_metrics)
        self.http_port = settings.http_port
        self.grpc_port: int | None = None
        self._on_ready = on_ready
        self._workers = concurrent.futures.ThreadPoolExecutor(4, "worker")
        self.serving: Final = serving.Serving(self.health, self.metrics, self._workers)
        self._http = server.HttpServer(dispatch.Dispatcher(self.serving, settings), settings)
        self._grpc: GrpcServer | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Serve until a signal or a failure and return the exit code.

        Raises:
            OSError: A port can't be had; the message says why.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._publish_gauges()
        self.serving.expect(self.description.name)
        try:
            await self._listen()
            return await self._serve()
        finally:
            await self._end()

    def stop(self) -> None:
        """Begin to end; called again, without waiting for the drain."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _listen(self) -> None:
        self.http_port = await self._http.start()
        if self.settings.grpc_port is not None:
            self._grpc = _make_grpc(self.serving, self.settings, self.settings.grpc_port)
            self.grpc_port = await self._grpc.start()
        log.info("listening", extra=logs.fields(host=self.settings.host, http=self.http_port, grpc=self.grpc_port))

    async def _serve(self) -> int:
        load = asyncio.create_task(loading.load(self.description, self.settings, self.serving), name="load")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        watch = asyncio.create_task(self._watch(), name="watch")
        termination.foretell(self.settings.termination_path, self.description.name)
        try:
            await asyncio.wait((load, stop), return_when=asyncio.FIRST_COMPLETED)
            if load.done():
                self._begin(load.result())
                await asyncio.wait((watch, stop), return_when=asyncio.FIRST_COMPLETED)
                if watch.done():
                    watch.result()
            await self._drain()
        except errors.ModelUnusable as failure:
            self._fail(failure)
            return EXIT_FAILED
        finally:
            for task in (load, stop, watch):
                task.cancel()
            await asyncio.gather(load, stop, watch, return_exceptions=True)
        termination.forget(self.settings.termination_path)
        return 0

    async def _watch(self) -> None:
        """Look after runs that do not end: their thread can't be stopped, so the process has to.

        Raises:
            ModelUnusable: A run hangs.
        """
        limit = self.settings.hang_seconds
        while limit:
            await asyncio.sleep(min(WATCH_SECONDS, limit))
            for model in self.serving.models():
                usual = model.metrics.compute.mean
                if model.batcher.running_seconds > max(limit, HANG_FACTOR * usual):
                    raise errors.ModelUnusable(
                        "ModelHung",
                        f"a run of model {model.name!r} has not ended after {model.batcher.running_seconds:.0f} s; "
                        f"usual are {usual:.3f} s",
                    )
        await asyncio.Event().wait()

    def _begin(self, model: serving.Model) -> None:
        self.serving.add(model)
        self.health.move(health.State.READY)
        if self._grpc is not None:
            self._grpc.set_serving(True)
        if self._on_ready is not None:
            self._on_ready(self)

    async def _drain(self) -> None:
        self.health.move(health.State.DRAINING, "the server is stopping")
        self._http.begin_closing()
        if self._grpc is not None:
            self._grpc.set_serving(False)
        log.info("draining", extra=logs.fields(seconds=self.settings.drain_seconds, in_flight=self.serving.in_flight))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self.settings.drain_seconds)

    async def _end(self) -> None:
        hung = any(model.batcher.running_seconds > self.settings.hang_seconds > 0 for model in self.serving.models())
        longest = self.description.timeout_seconds + RESERVE_SECONDS
        grace = 0.0 if hung else longest if self.settings.shutdown_seconds is None else self.settings.shutdown_seconds
        ends = [self._http.stop(grace)]
        if self._grpc is not None:
            ends.append(self._grpc.stop(grace))
        await asyncio.gather(*ends)
        for model in self.serving.models():
            model.batcher.close(errors.NotReady("the server is stopping"))
        self._workers.shutdown(wait=False, cancel_futures=True)
        self.health.move(health.State.STOPPED)
        log.info("stopped")

    def _fail(self, failure: errors.ModelUnusable) -> None:
        self.health.fail(failure.reason, failure.message)
        log.error(failure.message, extra=logs.fields(model=self.description.name, reason=failure.reason))
        termination.write(self.settings.termination_path, failure, self.description.name)

    def _publish_gauges(self) -> None:
        gauges = self.metrics.gauges
        gauges["foresail_in_flight_requests"] = ("Requests begun and not answered.", lambda: self.serving.in_flight)
        gauges["foresail_queued_requests"] = ("Requests that wait for the engine.", lambda: self.serving.queued)
        gauges["foresail_queued_bytes"] = ("Bytes of requests that wait.", lambda: self.serving.queued_bytes)
        self.metrics.state = lambda: self.health.status.state


def read_description(path: str) -> contract.ModelDescription:
    """Return the model that the operator describes in a file.

    Raises:
        ModelUnusable: The file can't be read, or is no description.
    """
    try:
        return contract.ModelDescription.decode(Path(path).read_text())
    except (OSError, contract.ContractError) as error:
        raise errors.ModelUnusable("DescriptionInvalid", f"{path}: {error}") from error


def _make_grpc(door: serving.Serving, settings: Settings, port: int) -> GrpcServer:
    # Imported here: grpc takes longer to import than everything else, and is not always asked for.
    from foresail_runtime.grpc import server as grpc_server  # noqa: PLC0415

    # Callers are led elsewhere while a pod drains; without a drain they have nowhere else to go.
    age = grpc_server.POD_CONNECTION_AGE_SECONDS if settings.drain_seconds > 0 else None
    limits = grpc_server.Limits(max_connection_age_seconds=age)
    return grpc_server.GrpcServer(door, settings.host, port, settings.max_body_bytes, limits=limits)
