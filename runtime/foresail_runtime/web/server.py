"""Owns the listening socket and its connections: limits, malformed requests, and an end that loses nothing.

aiohttp's low-level server is used, not `web.Application`: it does half the work a request, and what is missing
(routing, body limits, `Expect`, slow clients) is here and in `bodies`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import random
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError, HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import ERROR, _ErrInfo

from foresail_runtime import contract, early, errors, logs
from foresail_runtime.web import answers, backlog, kernel, parsed, unsent, untaken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foresail_runtime import tls
    from foresail_runtime.settings import Settings
    from foresail_runtime.web import dispatch, express

log = logging.getLogger(__name__)

LINGER_SECONDS: Final = 1.0
"""Once the socket is closed, how long a connection without a request may still begin one."""
SWEEP_SECONDS: Final = 1.0
ENDS_A_SECOND: Final = 50
"""So many connections are ended because of their age: about half a per cent of a core."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a request's headers together; each has a bound of its own."""
HALF_CLOSED_SECONDS: Final = 0.1
"""A client that sends no more has hung up, or waits for its answer (`nc -N`): so long it is taken to wait."""


class Connection(web.RequestHandler):
    """One client's connection.

    Small infer requests are answered on the short way, right where their bytes arrive; aiohttp's own loop sleeps
    meanwhile, and is woken for everything else. Answers stay in order: while one is outstanding on the short way,
    what comes behind it waits in aiohttp's queue.
    """

    __slots__ = (
        "_body",
        "_deaf",
        "_ends",
        "_express",
        "_head_bytes",
        "_listener",
        "_opened",
        "_taken",
        "_trip",
        "_unsent",
        "_untaken",
        "_wire",
        "certified",
    )

    def __init__(self, listener: _Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._express = listener.express
        self._trip: express.Trip | None = None
        self._head_bytes = 0
        """Of headers that have not all come, or of what follows the last chunk of a body."""
        self._deaf = False
        """What comes is not looked at any more."""
        self._taken = False
        """aiohttp's loop took a request from its queue and has not begun to answer it."""
        self._body: Any = None
        """That of the last request that it took; None: it took none yet."""
        self._opened = self._loop.time()
        self._ends = self._opened + listener.lifetime_seconds()
        self._wire: asyncio.Transport | None = None
        """The transport, which aiohttp forgets when it closes it, though bytes may be left in it."""
        self._untaken = untaken.Untaken(self._opened)
        self._unsent: unsent.Unsent | None = None
        """Large answers; None: there was none yet."""
        self.certified = False
        """Whether the client has shown a certificate that holds."""

    @property
    def client(self) -> str | None:
        """The address at the other end."""
        name = None if self._wire is None else self._wire.get_extra_info("peername")
        return str(name[0]) if name else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look whom the handshake has shown."""
        super().connection_made(transport)
        self._wire = self.transport
        self._listener.open += 1
        self.certified = bool(transport.get_extra_info("peercert"))

    def data_received(self, data: bytes) -> None:
        """Parse what came, and answer it at once if it is one small infer request."""
        if self._deaf:
            return
        at_work = self._taken or self._request_in_progress or self._messages
        is_body = bool(at_work) and self._reads_body()
        if at_work and self._trip is None:  # aiohttp is, not the short way, and finds in its queue what comes
            self._parse(data, is_body=is_body)
            return
        waiter, self._waiter = self._waiter, None  # keeps aiohttp from waking its loop until we have seen what it is
        try:
            self._parse(data, is_body=is_body)
        finally:
            self._waiter = waiter
        if self._trip is None and self._messages and not self._takes_short_way() and waiter is not None:
            _wake(waiter)

    def take(self, body: Any) -> None:
        """Note that aiohttp's loop has a request in hand."""
        self._taken = True
        self._body = body

    def begin_answer(self) -> None:
        """Note that the request in hand is being answered."""
        self._taken = False

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's answers None, asyncio takes both
        """Keep the connection open for an answer that is about to be sent."""
        if self.is_idle() or self.transport is None or self.transport.get_extra_info("sslcontext"):
            return False
        self._cut_short()
        self._loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
        return True

    def hold(self, size: int) -> None:
        """Count a large answer of so many bytes, which is written now, until it is sent."""
        if self.transport is None or self._wire is None:
            return
        if self._unsent is None:
            listener = self._listener
            self._unsent = unsent.Unsent(listener.room, self._wire, self._loop, listener.answer_seconds, self.client)
        self._unsent.hold(size)

    def _cut_short(self) -> None:
        """Tell whoever reads the last body that its rest will not come; aiohttp would wait for it."""
        if self._reads_body():
            self._last_body().set_exception(web.RequestPayloadError("the client sends no more"))
            self._lingering_time = 0.0  # nothing is left to be read behind the answer

    def _last_body(self) -> Any:
        return self._messages[-1][1] if self._messages else self._body

    def _reads_body(self) -> bool:
        payload = self._last_body()
        return payload is not None and not payload.is_eof()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take what the client waited for off the queue."""
        self._listener.open -= 1
        if self._unsent is not None:
            self._unsent.release()
        if self._trip is not None:
            self._express.abandon(self._trip)
            self._trip = None
        super().connection_lost(exc)

    def is_idle(self) -> bool:
        """Whether no request is being read, answered, or waits behind another."""
        return self._trip is None and not (self._taken or self._request_in_progress or self._messages)

    def may_end(self) -> bool:
        """Whether nobody waits for an answer on it: idle, and with nothing left to be read. It takes a system call."""
        return self.is_idle() and not (self._wire is not None and kernel.unread(self._wire))

    def is_of_age(self) -> bool:
        """Whether the answer to come had better be its last: never while requests it sent already wait behind."""
        return not self._messages and (self._listener.closing or self._loop.time() > self._ends)

    def is_overdue(self, now: float, header_timeout_seconds: float) -> bool:
        """Whether its first request has not come in time."""
        return self._request_count == 0 and now - self._opened > header_timeout_seconds

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Whether the client has taken not a byte of what is sent to it for so long; asked again and again."""
        return self._wire is not None and self._untaken.since(self._wire, now) > seconds

    def abort(self) -> None:
        """End it without sending what is left."""
        if self._wire is not None:
            self._wire.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what aiohttp could not parse as HTTP: our own failures are answered before they get here."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was begun already")
        if status >= 500:
            log.error("a request failed in the HTTP layer", exc_info=exc)
        self._listener.count_malformed()
        text = f"the request is not HTTP as it should be: {message}" if message else "the request could not be read"
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            text = f"the request has more than {MAX_HEAD_BYTES} bytes of headers: send fewer, or shorter ones"
        response = answers.json({"error": text.strip()}, status)
        response.headers["Server"] = "foresail"
        response.force_close()
        return response

    def _parse(self, data: bytes, *, is_body: bool) -> None:
        count, size = self._request_count, self._last_body().total_bytes if is_body else 0
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            broken = self._messages.pop()
            before = parsed.take(self._parser)
            self._request_count += len(before)
            self._messages.extend((*before, broken))
        if self._request_count != count:
            if self._head_bytes + len(data) > MAX_HEAD_BYTES:
                self._check_heads(self._request_count - count)
            self._head_bytes = 0
        elif is_body and (self._last_body().total_bytes > size or not self._reads_body()):
            self._head_bytes = 0
        else:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_trailers() if is_body else self._refuse_head()

    def _check_heads(self, count: int) -> None:
        """Look how large the headers of the last so many requests are; refuse the first that has too large ones."""
        for place in range(max(0, len(self._messages) - count), len(self._messages)):
            message = self._messages[place][0]
            if isinstance(message, RawRequestMessage) and _size_of_head(message) > MAX_HEAD_BYTES:
                while len(self._messages) > place:
                    self._messages.pop()
                self._refuse_head()
                return

    def _refuse_head(self) -> None:
        """Answer 431 behind what came before, and hear no more."""
        self._deaf = True
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        refusal = _ErrInfo(status, HttpProcessingError(code=status), "")
        self._messages.append((refusal, EMPTY_PAYLOAD))
        self._request_count += 1

    def _refuse_trailers(self) -> None:
        """Tell whoever reads the body that it has no end: what comes is none of it, and is held all the same."""
        self._deaf = True
        self._last_body().set_exception(web.RequestPayloadError("what follows the last chunk is too much"))
        self._lingering_time = 0.0

    def _takes_short_way(self) -> bool:
        message, payload = self._messages[0]
        # The last answer may have said that it is the last, and what it left unread has only now come to its end.
        if len(self._messages) > 1 or self._paused or not self._keepalive or not payload.is_eof():
            return False
        if not isinstance(message, RawRequestMessage):
            return False
        model = self._express.model(message, payload.total_bytes)
        # Without a waiter, aiohttp's loop is about to look at its queue and would answer what comes next: now, or not.
        at_once = self._waiter is None
        if model is None or (at_once and not model.batcher.inline) or not self._is_admitted(message):
            return False
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        trip = self._express.begin(
            message, payload.read_nowait(), model, self._finish, client=self.peername, at_once=at_once
        )
        if trip.under_way:
            self._trip = trip
        return True

    def _is_admitted(self, message: RawRequestMessage) -> bool:
        guard = self._listener.guard
        if guard is None:
            return True
        try:
            guard.check(message.headers.get("Authorization"), certified=self.certified)
        except errors.Unauthorized:
            return False  # the long way has the words for it
        return True

    def _finish(self, response: bytes) -> None:
        self._trip = None
        transport = self.transport
        if transport is None:
            return
        if len(response) > unsent.LARGE:
            self.hold(len(response))
        now = self._loop.time()
        if (now > self._ends or self._listener.closing) and not self._messages:
            transport.write(response.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            self.force_close()
            return
        transport.write(response)
        self._next_keepalive_close_time = now + self._keepalive_timeout
        if self._messages and self._waiter is not None:
            _wake(self._waiter)

    def _process_keepalive(self) -> None:
        if self._trip is not None:  # not idle, though aiohttp's loop sleeps
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()


class _Listener(web.Server):
    """Makes our connections in place of aiohttp's."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        dispatcher: dispatch.Dispatcher,
        connection_seconds: float | None,
        answer_seconds: float,
        **options: Any,
    ) -> None:
        super().__init__(handler, request_factory=self._request, handler_cancellation=True, **options)
        self._options = options
        self.express = dispatcher.express
        self.guard = dispatcher.guard
        self.room = dispatcher.room
        self.answer_seconds = answer_seconds
        """How long a client may take over an answer before its rate counts."""
        self.count_malformed = dispatcher.count_malformed
        self._connection_seconds = math.inf if connection_seconds is None else connection_seconds
        self.open = 0
        """How many connections there are."""
        self.closing = False

    def lifetime_seconds(self) -> float:
        """Return how long the next connection may last: spread out, so that not all of them come back at once.

        Where there are many they last longer: many spread evenly by themselves, and each end costs a connection.
        """
        seconds = max(self._connection_seconds, self.open / ENDS_A_SECOND)
        return seconds * random.uniform(0.75, 1.25)  # noqa: S311  # no secret

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        protocol.take(payload)
        if message is ERROR:  # whose own version is not known: it gets ours, where aiohttp says 1.0
            message = message._replace(version=HttpVersion11)
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop)


def _size_of_head(message: RawRequestMessage) -> int:
    return len(message.path) + sum(len(name) + len(value) + 4 for name, value in message.raw_headers)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class HttpServer:
    """Listens, and ends politely."""

    def __init__(
        self,
        dispatcher: dispatch.Dispatcher,
        settings: Settings,
        identity: tls.Identity | None,
        early_listener: socket.socket | None = None,
    ) -> None:
        self._early_listener = early_listener
        self._settings = settings
        self._dispatcher = dispatcher
        self._identity = identity
        self._server: _Listener | None = None
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    def begin_closing(self) -> None:
        """From now on every answer says `Connection: close`."""
        if self._server is not None:
            self._server.closing = True

    async def start(self) -> int:
        """Listen, and return the port (of use when 0 was asked for).

        Raises:
            OSError: The address can't be had; the message says why.
        """
        settings = self._settings
        self._server = _Listener(
            self._answer,
            self._dispatcher,
            settings.connection_age_seconds,
            settings.body_timeout_seconds,
            access_log=None,
            keepalive_timeout=settings.keepalive_seconds,
            auto_decompress=False,
            max_line_size=16 * 1024,
            max_field_size=16 * 1024,
        )
        loop = asyncio.get_running_loop()
        try:
            place = (
                {"host": settings.host, "port": settings.http_port, "reuse_address": True}
                if self._early_listener is None
                else {"sock": self._early_listener}
            )
            self._listener = await loop.create_server(self._server, backlog=early.BACKLOG, **place, **self._secured())
        except OSError as error:
            raise OSError(error.errno, _explain(error, settings.host, settings.http_port)) from error
        self._sweeper = asyncio.create_task(self._sweep(), name="http sweeper")
        return int(self._listener.sockets[0].getsockname()[1])

    def _secured(self) -> dict[str, Any]:
        if self._identity is None:
            return {}
        seconds = self._settings.header_timeout_seconds
        return {"ssl": self._identity.listener_context(), "ssl_handshake_timeout": seconds}

    async def stop(self, grace_seconds: float) -> None:
        """Take no more connections, let every request under way end, then close what is left."""
        self.begin_closing()
        if self._listener is None or self._server is None:
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await self._adopt(self._server, backlog.close(self._listener), min(LINGER_SECONDS, grace_seconds))
        while connections := self._connections():
            now = loop.time()
            if now - begun > grace_seconds:
                log.warning("closing %d connections with a request unanswered", len(connections))
                break
            for connection in connections:
                if now - begun > min(LINGER_SECONDS, grace_seconds) and connection.may_end():
                    connection.force_close()
            await asyncio.sleep(0.02)
        if self._sweeper is not None:
            self._sweeper.cancel()
        left = self._connections()
        await self._server.shutdown(0.1)
        for connection in left:
            connection.abort()

    async def _adopt(self, server: _Listener, waiting: list[socket.socket], seconds: float) -> None:
        """Serve those who were let in before the listener closed; who spoils the handshake meanwhile is let go."""
        loop, secured = asyncio.get_running_loop(), self._secured()
        adopting = [loop.connect_accepted_socket(server, one, **secured) for one in waiting]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*adopting, return_exceptions=True), seconds)

    def _connections(self) -> list[Connection]:
        connections = self._server.connections if self._server is not None else []
        return [connection for connection in connections if isinstance(connection, Connection)]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol: Any = request.protocol
        protocol.begin_answer()
        response = await self._dispatcher(request)
        # Whoever asks for the load keeps one connection for all its questions: it balances nothing.
        closing = self._server is not None and self._server.closing
        if protocol.is_of_age() and (closing or request.rel_url.raw_path != contract.LOAD_PATH):
            response.force_close()
        if isinstance(response, web.Response) and (length := response.content_length or 0) > unsent.LARGE:
            protocol.hold(length)
        return response

    async def _sweep(self) -> None:
        """Close connections without a first request, with an answer nobody takes, and over the limit, newest first."""
        loop = asyncio.get_running_loop()
        first, taken = self._settings.header_timeout_seconds, self._settings.body_timeout_seconds
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, first, taken))
            now = loop.time()
            connections = self._connections()
            for connection in connections:
                if connection.is_overdue(now, first):
                    connection.force_close()
                elif connection.is_stalled(now, taken):
                    log.info("a client takes nothing of its answer", extra=logs.fields(client=connection.client))
                    connection.abort()
            for connection in connections[self._settings.max_connections :]:
                if connection.may_end():
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
            return f"can't listen on {host or 'every address'}:{port}: {error.strerror or error}"
