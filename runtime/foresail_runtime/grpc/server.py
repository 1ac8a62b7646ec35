"""Owns the gRPC port: what is registered on it, its limits, and an end that loses nothing.

grpcio's own graceful stop loses calls: from the moment it begins, every call that arrives is cancelled, and callers
go on calling until the news has reached them (tried: 68 calls of 8 busy callers lost in 40 stops). A connection that
is ended because of its age loses none. So connections in a pod are short-lived, and a server that stops first waits
until the last one is gone: nobody is led here any more by then.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health_pb2

from foresail_runtime.grpc import ahead, connections, gate, reflect, service, usual, watching

if TYPE_CHECKING:
    from foresail_runtime.serving import Serving

_FOREVER: Final = 2**31 - 1
_JITTER: Final = 1.1
_LOOK_SECONDS: Final = 0.05
_WINDOW_BYTES: Final = 256 * 1024
"""What a connection may send of messages that nobody has asked for yet."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How connections are kept and ended."""

    max_connection_age_seconds: float | None = None
    """Connections are ended politely after this long, give or take a tenth, so that load spreads; None: never. A
    server that stops has to wait for so long until no caller is left."""
    max_connection_age_grace_seconds: float | None = None
    """How long calls in flight may then go on; None: as long as they take."""
    keepalive_seconds: float = 60.0
    """A connection that is silent is pinged this often, and closed when no answer comes for 20 seconds."""
    max_concurrent_streams: int = 1024
    """Calls at a time on one connection."""
    max_connections: int | None = None
    """So many connections, and so many calls on all of them, are taken at a time; None: any number."""
    max_held_bytes: int | None = None
    """Of all messages that are being received or answered; None: any number."""
    message_seconds: float | None = None
    """For a message to arrive, once it is its turn; None: for ever."""
    handshake_seconds: float | None = None
    """For a connection to say that it speaks HTTP/2; None: as grpcio has it, two minutes."""
    idle_seconds: float | None = None
    """For a connection between two calls; None: for ever."""
    compression: grpc.Compression = grpc.Compression.NoCompression
    """Of answers; compressed requests are taken whatever this says."""


class GrpcServer:
    """Listens, answers, and ends politely; used on the event loop's thread."""

    def __init__(
        self,
        serving: Serving,
        host: str,
        port: int,
        max_message_bytes: int,
        *,
        limits: Limits | None = None,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: tuple[grpc.aio.ServerInterceptor, ...] = (),
    ) -> None:
        limits = limits or Limits()
        self._serving = serving
        self._service = service.Service(
            serving, gate.Gate(limits.max_held_bytes, max_message_bytes, limits.message_seconds)
        )
        self._address = f"[{host or '::'}]" if ":" in host or not host else host
        self._port = port
        self._options = _options(limits, max_message_bytes)
        self._limits = limits
        self._credentials = credentials
        self._interceptors = interceptors
        self._health = watching.Health()
        self._server: grpc.aio.Server | None = None
        self._announcement: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and return the port (of use when 0 was asked for).

        Raises:
            OSError: The address can't be had; the message says what to do.
        """
        logging.getLogger("grpc._cython.cygrpc").addFilter(service.is_news)
        self._server = server = ahead.server(
            interceptors=self._interceptors,
            options=self._options,
            compression=self._limits.compression,
            maximum_concurrent_rpcs=self._limits.max_connections,
        )
        server.add_generic_rpc_handlers((self._service.handlers(), *usual.handlers(self._health)))
        await self._announce(serving=self._serving.ready())
        try:
            port = self._bind(server)
        except OSError:
            await server.stop(None)
            raise
        await server.start()
        self._port = port
        return port

    def set_serving(self, serving: bool) -> None:
        """Say to health checks, and to those who watch, whether requests are welcome."""
        self._announcement = asyncio.create_task(self._announce(serving=serving), name="grpc health")

    async def stop(self, grace_seconds: float) -> None:
        """Let connections grow old and calls in flight end, within the grace; then close what is left."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_seconds
        age = self._limits.max_connection_age_seconds
        if age is not None:
            # Streams keep their connections. They have half of the grace at least to answer what they read.
            ending = loop.call_later(grace_seconds / 2, self._end_streams)
            await self._outlive_connections(min(end, loop.time() + age * _JITTER + 2 * _LOOK_SECONDS))
            ending.cancel()
        self._end_streams()
        await self._server.stop(max(0.0, end - loop.time()))
        if self._announcement is not None:
            await self._announcement

    def _end_streams(self) -> None:
        self._service.end_streams()
        self._health.end()

    async def _outlive_connections(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while connections.count(self._port) != 0 and loop.time() < until:  # noqa: ASYNC110  # the kernel tells nobody
            await asyncio.sleep(_LOOK_SECONDS)

    async def _announce(self, *, serving: bool) -> None:
        words = health_pb2.HealthCheckResponse.ServingStatus
        status = words.SERVING if serving else words.NOT_SERVING
        for name in ("", reflect.SERVICE):
            await self._health.set(name, status)

    def _bind(self, server: grpc.aio.Server) -> int:
        address = f"{self._address}:{self._port}"
        try:
            if self._credentials is None:
                return int(server.add_insecure_port(address))
            return int(server.add_secure_port(address, self._credentials))
        except RuntimeError as error:
            raise OSError(
                errno.EADDRINUSE,
                f"can't listen on {address}, it is in use or not ours: choose another with --grpc-port",
            ) from error


def _options(limits: Limits, max_message_bytes: int) -> list[tuple[str, int]]:
    age, grace = limits.max_connection_age_seconds, limits.max_connection_age_grace_seconds
    options = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.keepalive_time_ms", _milliseconds(limits.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
        ("grpc.http2.bdp_probe", 0),  # it would widen the window to some 5 MB
        ("grpc.server_handshake_timeout_ms", _milliseconds(limits.handshake_seconds)),
        ("grpc.http2.settings_timeout", _milliseconds(limits.handshake_seconds)),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.idle_seconds)),
        ("grpc.max_connection_age_ms", _milliseconds(age)),
        ("grpc.max_connection_age_grace_ms", _FOREVER if grace is None else _milliseconds(grace)),
        ("grpc.so_reuseport", 0),  # two servers on one port would each get half of the calls, and nobody told
    ]
    return [(name, value) for name, value in options if value is not None]


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else min(_FOREVER, round(seconds * 1000))
