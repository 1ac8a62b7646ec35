"""Owns the gRPC port: what is registered on it, its limits, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from foresail_runtime.grpc import reflect, service

if TYPE_CHECKING:
    from foresail_runtime.serving import Serving

_HEALTH: Final = "grpc.health.v1.Health"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How connections are kept and ended."""

    max_connection_age_seconds: float | None = None
    """Connections are ended politely after this long, give or take a tenth, so that load spreads; None: never."""
    max_connection_age_grace_seconds: float = 30.0
    """How long calls in flight may then go on."""
    keepalive_seconds: float = 60.0
    """A connection that is silent is pinged this often, and closed when no answer comes for 20 seconds."""
    max_concurrent_streams: int = 1024
    """Calls at a time on one connection."""
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
    ) -> None:
        self._serving = serving
        self._address = f"[{host}]" if ":" in host else host
        self._port = port
        self._options = _options(limits or Limits(), max_message_bytes)
        self._compression = (limits or Limits()).compression
        self._credentials = credentials
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._announcement: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and return the port (of use when 0 was asked for).

        Raises:
            OSError: The address can't be had; the message says what to do.
        """
        self._server = server = grpc.aio.server(options=self._options, compression=self._compression)
        server.add_generic_rpc_handlers((service.Service(self._serving).handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (reflect.SERVICE, _HEALTH, reflection.SERVICE_NAME), server, pool=reflect.pool()
        )
        await self._announce(serving=self._serving.ready())
        try:
            port = self._bind(server)
        except OSError:
            await server.stop(None)
            raise
        await server.start()
        return port

    def set_serving(self, serving: bool) -> None:
        """Say to health checks, and to those who watch, whether requests are welcome."""
        self._announcement = asyncio.create_task(self._announce(serving=serving), name="grpc health")

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, let those in flight end within the grace, then close every connection."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)
        if self._announcement is not None:
            await self._announcement

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
    keepalive = round(limits.keepalive_seconds * 1000)
    options = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
        ("grpc.keepalive_time_ms", keepalive),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.so_reuseport", 0),  # two servers on one port would each get half of the calls, and nobody told
    ]
    if limits.max_connection_age_seconds is not None:
        options += [
            ("grpc.max_connection_age_ms", round(limits.max_connection_age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", round(limits.max_connection_age_grace_seconds * 1000)),
        ]
    return options
