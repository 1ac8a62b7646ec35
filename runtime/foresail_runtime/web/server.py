"""Owns the listening socket and its connections: limits, malformed requests, and an end that loses nothing.

aiohttp's low-level server is used, not `web.Application`: it does half the work a request, and what is missing
(routing, body limits, `Expect`, slow clients) is here and in `bodies`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from foresail_runtime.web import answers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foresail_runtime.settings import Settings

log = logging.getLogger(__name__)

LINGER_SECONDS: Final = 1.0
"""Once the socket is closed, how long a connection without a request may still begin one."""
SWEEP_SECONDS: Final = 1.0
MALFORMED: Final = "malformed"


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_opened",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note when the connection began."""
        self._opened = asyncio.get_running_loop().time()
        super().connection_made(transport)

    def is_idle(self) -> bool:
        """Whether no request is being read, answered, or waits behind another."""
        return not self._request_in_progress and not self._messages

    def is_overdue(self, now: float, header_timeout_seconds: float) -> bool:
        """Whether its first request has not come in time."""
        return self._request_count == 0 and now - self._opened > header_timeout_seconds

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what aiohttp could not parse as HTTP: our own failures are answered before they get here."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was begun already")
        if status >= 500:
            log.error("a request failed in the HTTP layer", exc_info=exc)
        text = f"the request is not HTTP as it should be: {message}" if message else "the request could not be read"
        response = answers.json({"error": text.strip()}, status)
        response.force_close()
        return response


class _Server(web.Server):
    """Makes our connections in place of aiohttp's."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any) -> None:
        super().__init__(handler, handler_cancellation=True, **options)
        self._options = options

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)


class HttpServer:
    """Listens, and ends politely."""

    def __init__(self, dispatch: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], settings: Settings):
        self._settings = settings
        self._dispatch = dispatch
        self._server: _Server | None = None
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.closing = False
        """Every answer says `Connection: close` from now on."""

    async def start(self) -> int:
        """Listen, and return the port (of use when 0 was asked for).

        Raises:
            OSError: The address can't be had; the message says why.
        """
        settings = self._settings
        self._server = _Server(
            self._answer,
            access_log=None,
            keepalive_timeout=settings.keepalive_seconds,
            auto_decompress=False,
            max_line_size=16 * 1024,
            max_field_size=16 * 1024,
        )
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                self._server, settings.host, settings.http_port, backlog=1024, reuse_address=True
            )
        except OSError as error:
            raise OSError(error.errno, _explain(error, settings.host, settings.http_port)) from error
        self._sweeper = asyncio.create_task(self._sweep(), name="http sweeper")
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Take no more connections, let every request under way end, then close what is left."""
        self.closing = True
        if self._listener is None or self._server is None:
            return
        self._listener.close()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while connections := self._connections():
            now = loop.time()
            if now - begun > grace_seconds:
                log.warning("closing %d connections with a request unanswered", len(connections))
                break
            for connection in connections:
                if connection.is_idle() and now - begun > min(LINGER_SECONDS, grace_seconds):
                    connection.force_close()
            await asyncio.sleep(0.02)
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._server.shutdown(0.1)

    def _connections(self) -> list[Connection]:
        connections = self._server.connections if self._server is not None else []
        return [connection for connection in connections if isinstance(connection, Connection)]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._dispatch(request)
        if self.closing:
            response.force_close()
        return response

    async def _sweep(self) -> None:
        """Close connections whose first request does not come, and those over the limit, newest first."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            connections = self._connections()
            for connection in connections:
                if connection.is_overdue(now, self._settings.header_timeout_seconds):
                    connection.force_close()
            for connection in connections[self._settings.max_connections :]:
                if connection.is_idle():
                    connection.force_close()


def _explain(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} of {host or 'this machine'} is in use: choose another with --http-port"
        case errno.EACCES:
            return f"port {port} may not be opened by this user: choose one from 1024 up with --http-port"
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME:
            return f"{host} is no address of this machine: choose another with --host"
        case _:
            return f"can't listen on {host}:{port}: {error.strerror or error}"
