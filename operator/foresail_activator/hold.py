"""One client's connection, from its first byte to its last.

    silent --first byte--> held --a replica took it--> spliced --both ends closed--> gone
                             |
                             +--a limit, or no replica in time--> refused --the client has read why--> gone

A connection that has sent nothing asks for nothing: it wakes no model. While it is held, no more than a bound is read
of it. Once spliced, bytes pass both ways as they come, each side reads no faster than the other writes, and one side
may end while the other goes on; once a replica has, the client has silence_seconds to do so too.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Protocol, cast

from foresail_activator import greeting

if TYPE_CHECKING:
    from foresail_activator.directory import Address
    from foresail_activator.limits import Held, Limits
    from foresail_activator.metrics import Metrics


class State(enum.Enum):
    """Where a connection is on its way."""

    SILENT = enum.auto()
    HELD = enum.auto()
    SPLICED = enum.auto()
    REFUSED = enum.auto()
    GONE = enum.auto()


class Room(Protocol):
    """Where the connections of one door wait."""

    def arrive(self, client: Client) -> None:
        """Take in a client that has sent its first bytes."""

    def leave(self, client: Client) -> None:
        """Let a waiting client go."""

    def answered(self, pod: Address) -> None:
        """Note that a replica has begun to answer a client, or will not any more."""


class House:
    """What all connections share."""

    def __init__(self, limits: Limits, held: Held, metrics: Metrics) -> None:
        self.limits = limits
        self.held = held
        self.metrics = metrics
        self.clients: set[Client] = set()
        self.empty = asyncio.Event()
        self.empty.set()

    def enter(self, client: Client) -> None:
        """Count a connection in."""
        self.clients.add(client)
        self.held.connections += 1
        self.empty.clear()

    def exit(self, client: Client) -> None:
        """Count a connection out."""
        self.clients.discard(client)
        self.held.connections -= 1
        if not self.clients:
            self.empty.set()


class _End(asyncio.Protocol):
    """One end of a splice; what arrives here leaves at `other`."""

    __slots__ = ("other", "transport")

    transport: asyncio.Transport
    """There from connection_made on."""

    def __init__(self) -> None:
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Read no faster from the other side than this one takes it."""
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self.other is not None:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Nothing more comes from here."""
        self.finish_other()
        return True  # the other direction may go on

    def finish_other(self) -> None:
        """Tell the other side that no more comes."""
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.write_eof()

    def part(self) -> None:
        """Close the other side once what it has to write is written."""
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.transport.close()


class Upstream(_End):
    """The end at a replica; a client is joined to it unless it left, or `limit` struck, before it was there."""

    __slots__ = ("_client", "_pod", "_room", "limit")

    def __init__(self, room: Room, pod: Address, client: Client, limit: asyncio.Timeout) -> None:
        super().__init__()
        self._room: Room | None = room
        self._pod = pod
        self._client = client
        self.limit = limit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the client now: a server of gRPC speaks first, and uvloop reads before whoever connects goes on."""
        super().connection_made(transport)
        if self._client.state is State.HELD and not self.limit.expired():
            self.limit.reschedule(None)  # struck now, it would close a connection that has the request
            self._client.splice(self)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._answered()
        if self.other is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Nothing more comes; a client that keeps its end all the same keeps it for a while."""
        if self.other is not None:
            self._client.end_soon()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the client sees the same end
        """The connection is gone."""
        self._answered()
        self.part()

    def _answered(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.answered(self._pod)


class Client(_End):
    """The end at a client."""

    __slots__ = ("_ended", "_house", "_kept", "_refuser", "_room", "_timer", "arrived_at", "joining", "state")

    def __init__(self, house: House, room: Room) -> None:
        super().__init__()
        self._house = house
        self._room = room
        self._kept = bytearray()
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._refuser: greeting.Refuser | None = None
        self.joining: asyncio.Task[None] | None = None
        self.arrived_at = 0.0
        self.state = State.SILENT

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        super().connection_made(transport)
        self._house.enter(self)
        if self._house.held.connections > self._house.limits.connections:
            self.close()
            return
        self._expire_in(self._house.limits.silence_seconds)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        match self.state:
            case State.SPLICED:
                if self.other is not None:
                    self.other.transport.write(data)
            case State.SILENT:
                self._hold(data)
            case State.HELD:
                self._keep(data)
            case State.REFUSED:
                self._answer(data)
            case State.GONE:
                return

    def eof_received(self) -> bool:
        """Nothing more comes from here; a client of HTTP/1.1 may have said all and wait for its answer."""
        if self.state is State.HELD:
            self._ended = not greeting.needs_more(self._kept)
            return self._ended
        if self.state is State.SPLICED:
            return super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # gone is gone
        """The connection is gone."""
        if self.state is State.HELD:
            self._stop_holding("gone")
            self._room.leave(self)
        self.state = State.GONE
        self._house.exit(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.joining is not None:
            self.joining.cancel()
        self.part()

    def splice(self, upstream: Upstream) -> None:
        """Join the two ends and hand on what was kept."""
        kept = bytes(self._kept)
        self._stop_holding("forwarded")
        self.joining = None
        self._house.metrics.hold_seconds.observe(asyncio.get_running_loop().time() - self.arrived_at)
        self.state, self.other, upstream.other = State.SPLICED, upstream, self
        if not self._ended:
            self.transport.resume_reading()  # before the write, which stops it again where the replica is full
        upstream.transport.write(kept)
        if self._ended:
            self.finish_other()

    def refuse(self, message: str) -> None:
        """Say no in the client's own protocol, and give it a moment to read that."""
        if self.state is not State.HELD:
            return
        kept = bytes(self._kept)
        self._stop_holding("refused")
        self.state = State.REFUSED
        if self.joining is not None:
            self.joining.cancel()
        self._refuser = greeting.refuser(kept, message, self._house.limits.retry_after_seconds)
        self._answer(kept)
        self._expire_in(self._house.limits.linger_seconds)
        self.transport.resume_reading()
        if not kept.startswith(b"PRI"):  # of HTTP/2 more streams may come, which are answered as well
            self.transport.write_eof()

    def end_soon(self) -> None:
        """Close in a while, whatever the client still sends: closed now it might not read what was written."""
        self._expire_in(self._house.limits.silence_seconds)

    def close(self) -> None:
        """Close without a word."""
        self.transport.close()

    def _hold(self, data: bytes) -> None:
        self.state = State.HELD
        self.arrived_at = asyncio.get_running_loop().time()
        self._house.held.requests += 1
        self._keep(data)
        if self.state is State.HELD:
            self._expire_in(self._house.limits.hold_seconds)
            self._room.arrive(self)

    def _keep(self, data: bytes) -> None:
        self._kept += data
        self._house.held.bytes += len(data)
        if self._house.held.bytes > self._house.limits.held_bytes:
            self._room.leave(self)
            self.refuse("too many bytes wait for models that are starting; try again in a moment")
        elif len(self._kept) >= self._house.limits.bytes_each:
            self.transport.pause_reading()

    def _stop_holding(self, outcome: str) -> None:
        self._house.held.requests -= 1
        self._house.held.bytes -= len(self._kept)
        self._kept = bytearray()
        self._house.metrics.outcomes.labels(outcome).inc()
        if self._timer is not None:
            self._timer.cancel()

    def _answer(self, data: bytes) -> None:
        if self._refuser is not None and (answer := self._refuser.receive(data)):
            self.transport.write(answer)

    def _expire_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self.state is State.HELD:
            self._room.leave(self)
            self.refuse(
                f"no replica was ready within {self._house.limits.hold_seconds:g} s; "
                "`kubectl describe mdep` says what it waits for"
            )
        else:
            self.close()
