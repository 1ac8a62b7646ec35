"""Knows what every pod carries: asks each of them twice a second over one kept connection.

The pods are dealt out to ten turns of 50 ms, so that at most a tenth of them is asked at a time. A pod that has not
answered at its next turn is late and is not asked again until it has; after two seconds its connection is made anew,
with a pause that grows. (Not at once: when it is this process that was held up, thousands of connections would go.)
New connections are bounded too. What a late pod counts for is `signal.combine`'s business.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import ssl
from typing import TYPE_CHECKING, Final

from foresail_operator import sockets
from foresail_operator.scaling import loads, signal
from foresail_operator.scaling.connection import Connection
from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from foresail_operator.scaling.signal import PodRate

INTERVAL_SECONDS: Final = 0.5
TURNS: Final = 10
GIVE_UP_SECONDS: Final = signal.STALE_SECONDS
CONNECT_SECONDS: Final = 0.5
CONNECTING_LIMIT: Final = 64
"""So many connections are made at a time."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """Where a pod answers, and whether its latency is asked for as well."""

    key: str
    """Unique among all pods ever seen: its uid."""
    host: str
    port: int = contract.HTTP_PORT
    latency: bool = False
    tls: bool = False
    """Whether the pod's port speaks TLS."""

    @property
    def question(self) -> bytes:
        """The request, byte for byte."""
        query = f"?{contract.LOAD_LATENCY_QUERY}=1" if self.latency else ""
        host = sockets.bracketed(self.host)
        return f"GET {contract.LOAD_PATH}{query} HTTP/1.1\r\nHost: {host}:{self.port}\r\n\r\n".encode()


def _unverified() -> ssl.SSLContext:
    """Return what hides the question and trusts any answer: a model's certificate names its Service, no pod.

    Who answers at a pod's address is as certain as without TLS, and all that is asked is a count.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one holds a megabyte of authorities
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Watched:
    """One pod: its connection, its last word and when it may be tried again."""

    __slots__ = (
        "connecting",
        "connection",
        "last",
        "last_at",
        "looks",
        "meter",
        "pause_seconds",
        "pod",
        "rate",
        "retry_at",
        "since",
        "turn",
    )

    def __init__(self, pod: Pod, turn: list[_Watched], since: float) -> None:
        self.pod = pod
        self.since = since
        self.turn = turn
        self.connection: Connection | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.last: contract.Load | None = None
        self.last_at = 0.0
        self.looks = 0
        self.meter = signal.Meter()
        self.rate: PodRate | None = None
        self.retry_at = 0.0
        self.pause_seconds = FIRST_PAUSE_SECONDS


class Scraper:
    """Every pod's load, never older than half a second while the pod answers."""

    def __init__(self, after_turn: Callable[[], None] = lambda: None) -> None:
        self._after_turn = after_turn
        self._connecting: set[asyncio.Task[None]] = set()
        self._pods: dict[str, _Watched] = {}
        self._turns: list[list[_Watched]] = [[] for _ in range(TURNS)]
        self._tls = _unverified()
        self._gate = asyncio.Semaphore(CONNECTING_LIMIT)
        self.answers = 0
        """Counter, for the metrics: questions answered."""
        self.failures = 0
        """Counter, for the metrics: connections that could not be made or broke."""
        self.late = 0
        """Counter, for the metrics: answers that were not there at the pod's next turn, half a second later."""

    def watch(self, pods: Iterable[Pod]) -> None:
        """Ask these pods from now on, and no others; those that stay keep their connection and memory."""
        wanted = {pod.key: pod for pod in pods}
        for key in [key for key, watched in self._pods.items() if wanted.get(key) != watched.pod]:
            self._forget(self._pods.pop(key))
        for key in wanted.keys() - self._pods.keys():
            turn = min(self._turns, key=len)
            turn.append(watched := _Watched(wanted[key], turn, asyncio.get_running_loop().time()))
            self._pods[key] = watched

    def rates(self, keys: Iterable[str]) -> Mapping[str, PodRate | None]:
        """Return what each of the pods carried at its last look, None for one that never answered."""
        return {key: self._pods[key].rate if key in self._pods else None for key in keys}

    def new(self, keys: Iterable[str], now: float) -> frozenset[str]:
        """Return which of the pods have not answered twice, and are not asked for long enough to be called silent."""
        known = ((key, self._pods.get(key)) for key in keys)
        return frozenset(key for key, pod in known if pod and pod.looks < 2 and now - pod.since < GIVE_UP_SECONDS)

    def load(self, key: str) -> contract.Load | None:
        """Return the last word of a pod; None if it never answered."""
        return self._pods[key].last if key in self._pods else None

    def heard_at(self, key: str) -> float:
        """Return when the last word of a pod came; 0 if none did."""
        return self._pods[key].last_at if key in self._pods else 0.0

    async def run(self) -> None:
        """Ask for ever; when cancelled, close all connections."""
        loop = asyncio.get_running_loop()
        due, index = loop.time(), 0
        try:
            while True:
                self._ask(self._turns[index], loop.time())
                self._after_turn()
                index = (index + 1) % TURNS
                due = max(due + INTERVAL_SECONDS / TURNS, loop.time() - INTERVAL_SECONDS)
                await asyncio.sleep(max(0.0, due - loop.time()))
        finally:
            self.watch(())
            await asyncio.gather(*self._connecting, return_exceptions=True)

    def _ask(self, turn: Iterable[_Watched], now: float) -> None:
        for watched in turn:
            connection = watched.connection
            if connection is None:
                if watched.connecting is None and now >= watched.retry_at:
                    self._start_connecting(watched)
            elif connection.asked_at is None:
                connection.ask(now)
            else:
                self.late += 1
                if now - connection.asked_at >= GIVE_UP_SECONDS:
                    connection.close()

    def _start_connecting(self, watched: _Watched) -> None:
        watched.connecting = task = asyncio.create_task(self._connect(watched))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        answered, lost = functools.partial(self._answered, watched), functools.partial(self._lost, watched)
        question = watched.pod.question
        try:
            async with self._gate, asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(question, answered, lost), watched.pod.host, watched.pod.port,
                    ssl=self._tls if watched.pod.tls else None,
                )  # fmt: skip
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            self._pause(watched)
        else:
            watched.connection = connection
            connection.ask(loop.time())
        finally:
            watched.connecting = None

    def _answered(self, watched: _Watched, body: bytes) -> None:
        now = asyncio.get_running_loop().time()
        try:
            load = loads.decode(body)
        except contract.ContractError:
            if watched.connection is not None:
                watched.connection.close()
            return
        self.answers += 1
        watched.last, watched.last_at = load, now
        if (rate := watched.meter.read(load, now)) is not None:
            watched.rate = rate
            watched.looks += 1
        watched.pause_seconds = FIRST_PAUSE_SECONDS

    def _lost(self, watched: _Watched, connection: Connection) -> None:
        if watched.connection is connection:
            watched.connection = None
            self._pause(watched)

    def _pause(self, watched: _Watched) -> None:
        self.failures += 1
        watched.retry_at = asyncio.get_running_loop().time() + watched.pause_seconds
        watched.pause_seconds = min(2 * watched.pause_seconds, LONGEST_PAUSE_SECONDS)

    @staticmethod
    def _forget(watched: _Watched) -> None:
        watched.turn.remove(watched)
        connection, watched.connection = watched.connection, None
        if connection is not None:
            connection.close()
        if watched.connecting is not None:
            watched.connecting.cancel()
