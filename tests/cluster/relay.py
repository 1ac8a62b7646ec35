"""Stands between operators and the API server, sees every request and makes what is asked for go wrong.

It runs on a thread of the test's own, so what a test sets takes hold at the next request.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import yaml
from aiohttp import web

from foresail_operator import access

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    import aiohttp

_PASSED: Final = ("Accept", "Content-Type")
_START_SECONDS: Final = 30.0
_CLOSING_SECONDS: Final = 0.2
"""What connections with TLS take to be gone after they were closed; aiohttp does not wait for it."""
_HELD_SECONDS: Final = 0.02
"""How often it is asked whether something is still to be kept back."""


@dataclasses.dataclass(slots=True)
class Exchange:
    """One request and, once it is there, the status of its answer; 0 is none."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    at: float
    status: int = 0

    @property
    def write(self) -> bool:
        """Whether it changes anything but the Lease."""
        return self.method != "GET" and "/leases" not in self.path

    @property
    def renewal(self) -> bool:
        """Whether it writes the Lease."""
        return self.method != "GET" and "/leases" in self.path

    @property
    def watch(self) -> bool:
        """Whether it is a watch."""
        return self.query.get("watch") in ("1", "true")

    def manifest(self) -> dict[str, Any]:
        """Return what was sent."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is answered in the API server's place."""

    status: int
    reason: str
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def response(self) -> web.Response:
        """Return it as the API server writes failures."""
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": f"the relay's {self.reason}"}
        return web.json_response(
            status | {"reason": self.reason, "code": self.status}, status=self.status, headers=self.headers
        )


class Relay:
    """A relay without TLS; `kubeconfig` leads to it, `exchanges` is all that it has seen."""

    def __init__(self, upstream: pathlib.Path, folder: pathlib.Path) -> None:
        self.kubeconfig = folder / "relay.kubeconfig"
        self.exchanges: list[Exchange] = []
        self.refused: list[float] = []
        """When a request came while the API server was away."""
        self.instead: Callable[[Exchange], Answer | None] = lambda _: None
        """Answers in the API server's place, or lets the request through."""
        self.lost: Callable[[Exchange], bool] = lambda _: False
        """Asked once the API server has answered; True loses the answer."""
        self.held: Callable[[Exchange], bool] = lambda _: False
        """Asked again and again once the API server has answered; the answer is kept back while it is True."""
        self._upstream = upstream
        self._away = False
        self._swallows = False
        self._epoch = 0
        self._transports: set[asyncio.BaseTransport] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready, self._done = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Relay:
        self._thread.start()
        assert self._ready.wait(_START_SECONDS), "the relay did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._done.set)
        self._thread.join(_START_SECONDS)

    def writes(self) -> list[Exchange]:
        """Return every write so far, those of the Lease left out."""
        return [one for one in self.exchanges if one.write]

    def break_off(self) -> None:
        """Break every connection off."""
        self._call(self._abort)

    def most_refused_in_a_second(self) -> int:
        """Return how many requests at most came within one second while the API server was away."""
        return max((sum(at <= one < at + 1 for one in self.refused) for at in self.refused), default=0)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Break every connection off, and refuse to serve new ones while the block runs."""
        self._away = True
        self.break_off()
        try:
            yield
        finally:
            self._away = False

    @contextlib.contextmanager
    def swallowing(self) -> Iterator[None]:
        """Keep every connection, and let nothing through while the block runs.

        As with packets that were lost, what whoever sent it still waits for is let through then.
        """
        self._swallows = True
        self.hush()
        try:
            yield
        finally:
            self._swallows = False

    def hush(self) -> None:
        """Let every present watch stay open and say nothing any more; new ones speak."""
        self._epoch += 1

    def _call(self, what: Callable[[], None]) -> None:
        """Do something on the relay's thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(what)

    def _abort(self) -> None:
        for transport in self._transports:
            transport.abort()  # type: ignore[attr-defined]  # those of sockets can

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        found = await access.find({"KUBECONFIG": str(self._upstream)})
        async with found.session() as session:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._pass_on(session, request)

            application = web.Application(client_max_size=8 << 20)
            application.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.kubeconfig.write_text(kubeconfig(f"http://127.0.0.1:{runner.addresses[0][1]}"))
                self._ready.set()
                await self._done.wait()
            finally:
                await runner.cleanup()
        await asyncio.sleep(_CLOSING_SECONDS)

    async def _pass_on(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if self._away:
            self.refused.append(time.monotonic())
            transport.abort()
            raise ConnectionResetError
        self._transports.add(transport)
        body = await request.read()
        while self._swallows:
            await asyncio.sleep(_HELD_SECONDS)
        exchange = Exchange(request.method, request.path, dict(request.query), body, at=time.monotonic())
        self.exchanges.append(exchange)
        if (answer := self.instead(exchange)) is not None:
            exchange.status = answer.status
            return answer.response()
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        async with session.request(
            request.method, request.rel_url, data=exchange.body or None, headers=headers
        ) as upstream:
            exchange.status = upstream.status
            if exchange.watch:
                return await self._stream(request, upstream)
            text = await upstream.read()
        while self.held(exchange):
            await asyncio.sleep(_HELD_SECONDS)
        if self.lost(exchange):
            transport.abort()
        return web.Response(body=text, status=upstream.status, headers=_kept(upstream))

    async def _stream(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        epoch = self._epoch
        response = web.StreamResponse(status=upstream.status, headers=_kept(upstream))
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the one who watches has gone
            async for chunk in upstream.content.iter_any():
                if epoch == self._epoch:
                    await response.write(chunk)
        return response


def _kept(upstream: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: upstream.headers[name] for name in ("Content-Type", "Retry-After") if name in upstream.headers}


def kubeconfig(server: str, token: str | None = None, authority: str | None = None) -> str:
    """Return a kubeconfig for one server, with a token if one is needed."""
    cluster = {"server": server} | ({"certificate-authority": authority} if authority else {})
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )
