"""A server from start to end; every task and thread it starts ends here.

```
 start: HTTP and gRPC listen (not ready) ── load the model ── ready
 SIGTERM: not ready ── keep accepting for drain_seconds ── close the sockets ── end what is in flight ── exit 0
 failure: the reason to the termination message ── exit 1
```
Which thread owns what:

| thread | owns |
|---|---|
| the event loop's | all state: connections, queues, models, counts, health; it runs small models itself |
| engine NAME | the runs of one model's sessions; as many threads as it has instances |
| worker | pictures while they are decoded and drawn, and files while they are read; state is never touched there |
| large | documents of a megabyte and more while they are read and written, one after the other |
| asyncio's own | digests, archives and packed bodies |
| lines | the access log's lines on their way to stderr |
| watchdog | a look at the engines' stacks once a second; it ends the process where the loop can't |
| grpcio's | sockets of gRPC; every call is answered on the event loop's thread |
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from foresail_runtime import (
    access,
    age,
    auth,
    contract,
    errors,
    health,
    heavy,
    library,
    lines,
    loading,
    lobby,
    logs,
    metrics,
    serving,
    termination,
    tls,
    tracing,
    watchdog,
)
from foresail_runtime.drift import export as drift
from foresail_runtime.engine import cores
from foresail_runtime.web import dispatch, server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from foresail_runtime.drift.watch import Watch
    from foresail_runtime.settings import Settings

log = logging.getLogger(__name__)

EXIT_FAILED: Final = 1
MEMORY_SECONDS: Final = 0.5
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
    """One process serving one model, or a folder of them."""

    def __init__(
        self,
        settings: Settings,
        source: contract.ModelDescription | Path,
        on_ready: Callable[[App], None] | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        """Make a server of the one model that is described, or of all models in a folder.

        `listener` is a socket that listens for HTTP already.
        """
        self.settings: Final = settings
        self.source: Final = source
        self.health: Final = health.Health(time.monotonic, time.monotonic() - age.seconds())
        self.metrics: Final = metrics.Metrics(triton_names=settings.triton_metrics)
        self.http_port = settings.http_port
        self.grpc_port: int | None = None
        self._on_ready = on_ready
        self._workers = concurrent.futures.ThreadPoolExecutor(4, "worker")
        self._large = concurrent.futures.ThreadPoolExecutor(1, "large")
        self.serving: Final = serving.Serving(
            self.health,
            self.metrics,
            self._workers,
            heavy=heavy.Heavy(self._large, settings.max_parsed_bytes),
            overload_status=settings.overload_status,
            cores=cores.limited(),
        )
        self.identity: Final = None if settings.tls_cert is None else _identity(settings)
        self.guard: Final = auth.Guard(settings.tokens, certificates=settings.tls_ca is not None)
        if settings.termination_path is not None and not isinstance(source, Path):  # a ModelDeployment's pod
            self.serving.lobby = lobby.Lobby(self.health, Path(settings.download_folder))
        self._tracer = tracing.make(settings.traces_endpoint)
        gathered = lines.Lines(_to_stderr) if settings.access_log else None
        self.access: Final = access.AccessLog(self._tracer, gathered, settings.log_format)
        self._http = server.HttpServer(
            dispatch.Dispatcher(self.serving, settings, self.guard, self.access), settings, self.identity, listener
        )
        self._library: library.Library | None = None
        if isinstance(source, Path):
            self.serving.library = self._library = library.make(source, self.serving, settings)
            if settings.termination_path is not None:
                self.serving.board = termination.Board(settings.termination_path)
            if settings.repository_tokens is not None:
                self.serving.keys = auth.Guard(settings.repository_tokens, certificates=False)
        self._grpc: GrpcServer | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._hung = asyncio.Event()
        self._watchdog: watchdog.Watchdog | None = None

    async def run(self) -> int:
        """Serve until a signal or a failure and return the exit code.

        Raises:
            OSError: A port can't be had; the message says why.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._publish_gauges()
        if isinstance(self.source, contract.ModelDescription):
            self.serving.expect(self.source.name)
        try:
            await self._listen()
            return await self._serve()
        finally:
            await self._end()
            if self._watchdog is not None:
                self._watchdog.stop()

    def stop(self) -> None:
        """Begin to end; called again, without waiting for the drain."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _listen(self) -> None:
        self.http_port = await self._http.start()
        if self.settings.grpc_port is not None:
            self._grpc = _make_grpc(self, self.settings.grpc_port)
            self.grpc_port = await self._grpc.start()
        log.info("listening", extra=logs.fields(host=self.settings.host, http=self.http_port, grpc=self.grpc_port))

    async def _serve(self) -> int:
        load = asyncio.create_task(self._load(), name="load")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        hang = asyncio.create_task(self._hung.wait(), name="hang")
        reload = asyncio.create_task(self._reload(), name="reload")
        poll = asyncio.create_task(self._poll(load), name="poll")
        foretold = termination.Foretold(self.settings.termination_path, self._name)
        memory = asyncio.create_task(self._note_memory(foretold), name="memory")
        self._watch(foretold)
        try:
            await asyncio.wait((load, stop, hang), return_when=asyncio.FIRST_COMPLETED)
            if load.done():
                load.result()
                self._begin()
                await asyncio.wait((stop, hang), return_when=asyncio.FIRST_COMPLETED)
            if hang.done():
                return EXIT_FAILED
            await self._drain()
        except errors.ModelUnusable as failure:
            foretold.close()
            self._fail(failure)
            return EXIT_FAILED
        finally:
            tasks = (load, stop, hang, reload, poll, memory)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._close_board()
        foretold.close()
        termination.forget(self.settings.termination_path)
        return 0

    async def _note_memory(self, foretold: termination.Foretold) -> None:
        """Take down again and again what is held in memory: whoever is killed for it can't say so afterwards."""
        if self.settings.termination_path is None or self.serving.board is not None:
            return
        while True:
            foretold.look(termination.resident_bytes())
            await asyncio.sleep(MEMORY_SECONDS)

    def _watch(self, foretold: termination.Foretold) -> None:
        if not self.settings.hang_seconds:
            return
        loop = asyncio.get_running_loop()

        def bark(model: str, failure: errors.ModelUnusable) -> None:
            """Leave the reason first: the loop may be what hangs."""
            foretold.close()
            self._close_board()
            termination.write(self.settings.termination_path, failure, model)
            self.access.flush()
            log.error(failure.message, extra=logs.fields(model=model, reason=failure.reason))
            loop.call_soon_threadsafe(self._give_up, failure)

        self._watchdog = watchdog.Watchdog(
            self.settings.hang_seconds,
            self.serving.usual_seconds,
            self.settings.load_timeout_seconds,
            bark,
            functools.partial(os._exit, EXIT_FAILED),
        )
        self._watchdog.start()

    def _close_board(self) -> None:
        if self.serving.board is not None:
            self.serving.board.close()

    def _give_up(self, failure: errors.ModelUnusable) -> None:
        self.health.fail(failure.reason, failure.message)
        self._hung.set()

    async def _reload(self) -> None:
        """Look again and again at the files of the certificate and the tokens."""
        loop = asyncio.get_running_loop()
        keys = self.serving.keys
        while self.identity is not None or self.settings.tokens is not None or keys is not None:
            await asyncio.sleep(self.settings.reload_seconds)
            if self.identity is not None:
                await loop.run_in_executor(self._workers, self.identity.refresh)
            await loop.run_in_executor(self._workers, self.guard.refresh)
            if keys is not None:
                await loop.run_in_executor(self._workers, keys.refresh)

    async def _load(self) -> None:
        if isinstance(self.source, contract.ModelDescription):
            self.serving.add(await loading.load(self.source, self.settings, self.serving, self.health.move))
        elif self._library is not None:
            self.health.move(health.State.LOADING, f"loading the models of {self.source}")
            await self._library.start()

    async def _poll(self, load: asyncio.Task[None]) -> None:
        """Follow the folder of models, once they are loaded."""
        await asyncio.wait((load,))
        if self._library is not None and self.settings.poll_seconds:
            await self._library.watch(functools.partial(asyncio.sleep, self.settings.poll_seconds))

    def _begin(self) -> None:
        self.health.move(health.State.READY)
        if self._grpc is not None:
            self._grpc.set_serving(True)
        if self._on_ready is not None:
            self._on_ready(self)
        self._workers.submit(_import_the_rest)

    async def _drain(self) -> None:
        self.health.move(health.State.DRAINING, "the server is stopping")
        self._http.begin_closing()
        if self._grpc is not None:
            self._grpc.set_serving(False)
        log.info("draining", extra=logs.fields(seconds=self.settings.drain_seconds, in_flight=self.serving.in_flight))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self.settings.drain_seconds)

    async def _end(self) -> None:
        longest = max([0.0, *(model.timeout_seconds for model in self.serving.models())]) + RESERVE_SECONDS
        grace = (
            0.0
            if self._hung.is_set()
            else longest
            if self.settings.shutdown_seconds is None
            else self.settings.shutdown_seconds
        )
        ends = [self._http.stop(grace)]
        if self._grpc is not None:
            ends.append(self._grpc.stop(grace))
        await asyncio.gather(*ends)
        if self._library is not None:
            await self._library.close()
        for model in self.serving.models():
            model.batcher.close(errors.NotReady("the server is stopping"))
            model.release()
        if self._tracer is not None:
            closing = asyncio.get_running_loop().run_in_executor(self._workers, self._tracer.close)
            await asyncio.wait((closing,), timeout=tracing.CLOSE_SECONDS)
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._large.shutdown(wait=False, cancel_futures=True)
        self.access.close()
        self.health.move(health.State.STOPPED)
        log.info("stopped")

    def _fail(self, failure: errors.ModelUnusable) -> None:
        self.health.fail(failure.reason, failure.message)
        log.error(failure.message, extra=logs.fields(model=self._name, reason=failure.reason))
        self._close_board()
        termination.write(self.settings.termination_path, failure, self._name)

    @property
    def _name(self) -> str:
        return self.source.name

    def _publish_gauges(self) -> None:
        gauges = self.metrics.gauges
        gauges["foresail_in_flight_requests"] = ("Requests begun and not answered.", lambda: self.serving.in_flight)
        gauges["foresail_queued_requests"] = ("Requests that wait for the engine.", lambda: self.serving.queued)
        gauges["foresail_queued_bytes"] = ("Bytes of requests that wait.", lambda: self.serving.queued_bytes)
        self.metrics.families.append(lambda: drift.families(_watched(self.serving)))
        self.metrics.state = lambda: self.health.status.state


def _import_the_rest() -> None:
    """Import what nobody waited for, before it is asked for on the loop's thread."""
    from foresail_runtime import exposition  # noqa: F401, PLC0415


def _to_stderr(data: bytes) -> None:
    """Write whole lines to where the log is: its buffer, unlike the text stream around it, is safe for threads."""
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def _watched(door: serving.Serving) -> list[tuple[str, str, Watch]]:
    return [(model.name, model.version, model.drift) for model in door.models() if model.drift is not None]


def read_description(path: str) -> contract.ModelDescription:
    """Return the model that the operator describes in a file.

    Raises:
        ModelUnusable: The file can't be read, or is no description.
    """
    try:
        return contract.ModelDescription.decode(Path(path).read_text())
    except (OSError, contract.ContractError) as error:
        raise errors.ModelUnusable("DescriptionInvalid", f"{path}: {error}") from error


def _identity(settings: Settings) -> tls.Identity:
    return tls.Identity(settings.tls_cert or "", settings.tls_key or "", settings.tls_ca)


def _make_grpc(app: App, port: int) -> GrpcServer:
    # Imported here: grpc takes longer to import than everything else, and is not always asked for.
    from foresail_runtime.grpc import access as grpc_access  # noqa: PLC0415
    from foresail_runtime.grpc import credentials  # noqa: PLC0415
    from foresail_runtime.grpc import server as grpc_server  # noqa: PLC0415

    settings = app.settings
    limits = grpc_server.Limits(
        max_connection_age_seconds=settings.connection_age_seconds,
        max_connections=settings.max_connections,
        max_held_bytes=settings.max_held_bytes,
        message_seconds=settings.body_timeout_seconds,
        handshake_seconds=settings.header_timeout_seconds,
        idle_seconds=settings.keepalive_seconds,
    )
    interceptors = [grpc_access.Recorder(app.access)] if app.access.active else []
    if settings.tokens is not None:
        interceptors.append(credentials.Doorkeeper(app.guard, app.metrics.rejected))
    return grpc_server.GrpcServer(
        app.serving,
        settings.host,
        port,
        settings.max_body_bytes,
        limits=limits,
        credentials=None if app.identity is None else credentials.follow(app.identity),
        interceptors=tuple(interceptors),
    )
