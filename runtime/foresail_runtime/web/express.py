"""The short way of a small infer request: parsed, run, written, without a task or a request object in between.

aiohttp starts a task and makes a request, a response and a stream writer for every request, which costs more
than running a small model. A request takes the short way if nothing about it is special: HTTP/1.1, keep-alive, all
of its body there with its headers, not packed. Everything else goes the long way (`infer`), with the same answers.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import orjson

from foresail_runtime import errors, serving
from foresail_runtime.codec import rest
from foresail_runtime.web import answers, bodies, infer, routes, unsent

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_runtime.access import AccessLog
    from foresail_runtime.batching.ticket import Arrays, Ticket
    from foresail_runtime.codec.rest import Form
    from foresail_runtime.model import Model
    from foresail_runtime.room import Room
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings
    from foresail_runtime.tensors import InferRequest

log = logging.getLogger(__name__)

MAX_PATHS: Final = 1024
HTTP_1_1: Final = (1, 1)
SMALL: Final = 1024
"""Requests from this size on may have a large answer; if the client takes one packed, they go the long way."""

_TRACE: Final = b"\r\ntraceresponse: %s\r\n"
_HEAD: Final = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nDate: %s\r\nServer: foresail\r\n%s\r\n"


class Trip:
    """One request on the short way."""

    __slots__ = ("client", "counted", "finish", "form", "message", "model", "request", "start", "task", "ticket")

    def __init__(self, client: Any, message: Any, model: Model, start: float, finish: Callable[[bytes], None]) -> None:
        self.client = client
        """The address the request came from, for the log."""
        self.message = message
        self.model = model
        self.start = start
        self.finish = finish
        """Takes the response's bytes; called at most once, perhaps before `Express.begin` returns."""
        self.ticket: Ticket | None = None
        """Set while the request waits for the engine."""
        self.request: InferRequest | None = None
        self.task: asyncio.Future[Arrays] | None = None
        """Set while it runs in several pieces."""
        self.form: Form = rest.JSON_ONLY
        self.counted = False
        """Whether it is among what is in flight, as all are that wait."""

    @property
    def under_way(self) -> bool:
        """Whether it is still to be answered."""
        return self.ticket is not None or self.task is not None


class Express:
    """Answers small infer requests for all connections of a server."""

    def __init__(
        self,
        serving: Serving,
        table: routes.Routes,
        long_way: infer.InferHandler,
        settings: Settings,
        access: AccessLog,
        *,
        room: Room,
    ) -> None:
        """Take the room that large answers count in."""
        self._access = access
        self._room = room
        self._serving = serving
        self._table = table
        self._long_way = long_way
        self._settings = settings
        self._paths: dict[str, tuple[str, str]] = {}
        self._date = b""
        self._date_until = 0.0

    def model(self, message: Any, size: int) -> Model | None:
        """Return the model that a parsed request asks to infer; None if it has to go the long way.

        `size` is that of the body, all of which is there.
        """
        if size > self._settings.max_body_bytes or (size >= SMALL and "Accept-Encoding" in message.headers):
            return None
        if (
            message.method != "POST"
            or message.should_close
            or "Origin" in message.headers  # a browser's, whose answer may need headers more
            or "Content-Encoding" in message.headers  # message.compression is None for what aiohttp doesn't know
            or message.upgrade
            or message.version != HTTP_1_1
            or (message.chunked and message.headers["Transfer-Encoding"].lower() != "chunked")
        ):
            return None
        found = self._paths.get(message.path)
        try:
            model = self._find(message.path) if found is None else self._serving.model(*found)
        except errors.ForesailError:
            return None  # the long way has the words for it
        return None if model is None or (model.answers_large and "Accept-Encoding" in message.headers) else model

    def begin(
        self,
        message: Any,
        body: bytes,
        model: Model,
        finish: Callable[[bytes], None],
        *,
        client: Any,
        at_once: bool,
    ) -> Trip:
        """Answer a request now, or (not if `at_once`) when its turn comes; `under_way` of the trip tells which."""
        trip = Trip(client, message, model, self._serving.clock(), finish)
        self._serving.metrics.received_bytes += len(body)
        try:
            headers = message.headers
            length = infer.header_length(headers) if answers.HEADER_LENGTH in headers else None
            trip.request, trip.form = rest.decode(model.signature, body, length)
            model.metrics.decoded(self._serving.clock() - trip.start)
            arrays = model.batcher.run_alone(trip.request, at_once=at_once)
            if arrays is None:
                self._queue(trip, trip.request, max(len(body), trip.request.nbytes))
                return trip
        except Exception as error:  # noqa: BLE001  # answered, and logged if it was no answer
            self._end(trip, error)
        else:
            self._end(trip, arrays)
        return trip

    def abandon(self, trip: Trip) -> None:
        """Forget a request whose client has gone."""
        if trip.ticket is not None:
            trip.model.batcher.drop(trip.ticket)
        elif trip.task is not None:
            trip.task.cancel()
        else:
            return
        trip.ticket = trip.task = None
        self._serving.end(trip.model)
        trip.model.metrics.answered("infer", serving.CLIENT_GONE, self._serving.clock() - trip.start)

    def _queue(self, trip: Trip, request: InferRequest, size: int) -> None:
        batcher, timeout = trip.model.batcher, trip.model.timeout(request)
        self._serving.begin(trip.model, trip.start)
        trip.counted = True
        trip.ticket = batcher.submit(request, size, timeout, functools.partial(self._end, trip))
        if trip.ticket is None:  # more rows than run at once: several runs in a row, which takes a task
            trip.task = asyncio.ensure_future(batcher.infer(request, size, timeout))
            trip.task.add_done_callback(functools.partial(self._end_task, trip))

    def _end_task(self, trip: Trip, task: asyncio.Future[Arrays]) -> None:
        if task.cancelled():
            return
        outcome = task.exception() or task.result()  # looked at even where nobody waits, or asyncio complains of it
        if trip.task is task:  # not so if the client has left since the task ended: it is counted out already
            self._end(trip, outcome)

    def _end(self, trip: Trip, outcome: Any) -> None:
        trip.ticket = trip.task = None
        status = 200
        begun = self._serving.clock()
        try:
            if not isinstance(outcome, list) or trip.request is None:
                raise outcome  # noqa: TRY301  # one place makes answers of errors
            data, length = rest.encode(trip.model.respond(trip.request, outcome), trip.form)
            if len(data) < bodies.WORTH_PACKING:
                response = self._response(data, length)
            else:
                response = self._longer(trip, data, length)
        except errors.ForesailError as failure:
            status, response = self._failure(failure)
            data = b""
        except Exception as error:
            number = uuid.uuid4().hex[:12]
            log.error("a request failed because of a mistake of ours; failure=%s", number, exc_info=error)  # noqa: TRY400
            self._serving.metrics.rejected["internal"] += 1
            status, data = 500, b""
            response = self._plain("500 Internal Server Error", {"error": f"internal error {number}"}, b"")
        now = self._serving.clock()
        seconds = now - trip.start
        if status == 200:
            trip.model.metrics.encoded(now - begun)
        if trip.counted:
            self._serving.end(trip.model)
        else:
            self._serving.passed(seconds)
        trip.model.metrics.answered("infer", status, seconds, refused=isinstance(outcome, errors.QueueFull))
        self._serving.metrics.sent_bytes += len(data)
        if self._access.active:
            response = self._write_down(trip, status, seconds, response)
        trip.finish(response)

    def _longer(self, trip: Trip, data: bytes, header_length: int | None) -> bytes:
        """Return an answer that is worth packing; raises QueueFull where others that are being sent leave no room."""
        if "Accept-Encoding" in trip.message.headers:
            response = self._packed(trip, data, header_length)
        else:
            response = self._response(data, header_length)
        if len(response) > unsent.LARGE:
            self._room.check(len(response))
        return response

    def _packed(self, trip: Trip, data: bytes, header_length: int | None) -> bytes:
        if len(data) >= bodies.LARGE:
            trip.model.answers_large = True
        more = b"Vary: Accept-Encoding\r\n"
        name = bodies.choose(trip.message.headers["Accept-Encoding"])
        if name is not None:
            data = bodies.deflate(data, name)
            more += b"Content-Encoding: %s\r\n" % name.encode()
        return self._response(data, header_length, more)

    def _response(self, data: bytes, header_length: int | None, more: bytes = b"") -> bytes:
        if header_length is None:
            return _HEAD % (b"200 OK", b"application/json", len(data), self._now(), more) + data
        more += b"Inference-Header-Content-Length: %d\r\n" % header_length
        return _HEAD % (b"200 OK", b"application/octet-stream", len(data), self._now(), more) + data

    def _failure(self, failure: errors.ForesailError) -> tuple[int, bytes]:
        self._serving.metrics.rejected[failure.reason] += 1
        made = answers.error(failure, self._serving.status_of(failure))
        more = (
            b"" if "Retry-After" not in made.headers else b"Retry-After: %s\r\n" % made.headers["Retry-After"].encode()
        )
        words = answers.shortened(failure.message)
        return made.status, self._plain(f"{made.status} {made.reason}", {"error": words}, more)

    def _plain(self, status: str, document: dict[str, str], more: bytes) -> bytes:
        data = orjson.dumps(document)
        return _HEAD % (status.encode(), b"application/json", len(data), self._now(), more) + data

    def _now(self) -> bytes:
        now = self._serving.clock()
        if now >= self._date_until:
            self._date = email.utils.formatdate(usegmt=True).encode()
            self._date_until = now + 1.0 - time.time() % 1.0
        return self._date

    def _find(self, path: str) -> Model | None:
        """Return the model that a path asks to infer, and remember the path; None: it asks for something else.

        Paths that nothing is at are not remembered, and one may be written in many ways: so where they become too many
        all are forgotten, and those in use are back with their next request.
        """
        if "?" in path:
            return None
        match = self._table.find("POST", path)
        if match.handler != self._long_way:
            return None
        found = (match.values["name"], match.values.get("version", ""))
        model = self._serving.model(*found)
        if len(self._paths) >= MAX_PATHS:
            self._paths.clear()
        self._paths[path] = found
        return model

    def _write_down(self, trip: Trip, status: int, seconds: float, response: bytes) -> bytes:
        """Write the access log's line; return the response, which says where it belongs if that is traced."""
        trace = self._access.write(
            "POST",
            trip.message.path,
            status,
            seconds=seconds,
            size=len(response),
            client=trip.client[0] if trip.client else None,
            headers=trip.message.headers,
        )
        return response if trace is None else response.replace(b"\r\n", _TRACE % trace.encode(), 1)
