"""Connections over real sockets: who waits, who is handed on, and how the others are told no."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest

from foresail_activator.directory import Directory, Door
from foresail_activator.hold import Client, House, State, Upstream
from foresail_activator.limits import Held, Limits
from foresail_activator.listeners import Listeners
from foresail_activator.metrics import Metrics
from foresail_activator.waiting import WaitingRoom
from foresail_operator.desired import activator, meta
from tests.runtime.authorities import Authority

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

GET = b"GET /v2 HTTP/1.1\r\nHost: model\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
PAIR = 7000
PORT = activator.port(PAIR, "http")


def slice_of(
    uid: str, ports: dict[str, int], *, ours: bool, addresses: tuple[str, ...] = (), service: str = "fraud"
) -> dict[str, Any]:
    """Return an EndpointSlice of a Service of the model team/fraud."""
    labels = {activator.SERVICE_NAME_LABEL: service}
    labels |= {activator.SLICE_MANAGED_BY_LABEL: activator.SLICE_MANAGED_BY} if ours else {}
    return {
        "metadata": {
            "uid": uid,
            "namespace": "team",
            "name": uid,
            "labels": labels,
            "annotations": {meta.MODEL_ANNOTATION: "fraud"},
        },
        "ports": [{"name": name, "port": port} for name, port in ports.items()],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
    }


class Pipe(asyncio.Transport):
    """A transport that says what it was told; one that is full stops who writes to it, as asyncio's do."""

    def __init__(self, protocol: asyncio.Protocol, *, full: bool = False) -> None:
        super().__init__()
        self.reads = True
        self.closed = False
        self.written = b""
        self._protocol = protocol
        self._full = full
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if self._full:
            self._protocol.pause_writing()

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class World:
    """An activator's data plane with one model, and the replicas that a test starts."""

    def __init__(self, limits: Limits) -> None:
        self.held = Held()
        self.metrics = Metrics(self.held)
        self.woken: list[Door] = []
        self.wake_event = asyncio.Event()
        self.house = House(limits, self.held, self.metrics)
        self.listeners = Listeners(Directory(), self.house, self._wake, "127.0.0.1")
        self.seen: list[bytes] = []
        self._servers: list[asyncio.Server] = []

    def _wake(self, door: Door) -> None:
        self.woken.append(door)
        self.wake_event.set()

    async def open(self) -> None:
        ports = {"http": PORT, "grpc": PORT + 1}
        self.listeners.sink(None, "ADDED", slice_of("ours", ports, ours=True))
        await self.listeners.settle()

    def ready(
        self, port: int, *, grpc_port: int = 1, addresses: tuple[str, ...] = ("127.0.0.1",), service: str = "fraud"
    ) -> None:
        """Say that replicas are ready."""
        ports = {"http": port, "grpc": grpc_port}
        slice_ = slice_of(f"of {service}", ports, ours=False, addresses=addresses, service=service)
        self.listeners.sink(None, "MODIFIED", slice_)

    async def replica(
        self, answer: bytes = OK, until: Callable[[bytes], bool] = lambda data: b"\r\n\r\n" in data
    ) -> int:
        """Start a replica that answers once it has seen enough; return its port."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = b""
            while not until(data) and (piece := await reader.read(65536)):
                data += piece
            self.seen.append(data)
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def ask(self, data: bytes, port: int = PORT) -> bytes:
        """Send something and return all that comes back until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()

    async def close(self) -> None:
        self.listeners.stop_listening()
        for server in self._servers:
            server.close()
        for client in list(self.house.clients):
            client.close()
        await asyncio.wait_for(self.house.empty.wait(), 5)


@contextlib.asynccontextmanager
async def world(**limits: float) -> AsyncIterator[World]:
    made = World(Limits(**limits))  # type: ignore[arg-type]  # whole numbers are given where they are asked for
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def test_a_request_waits_for_the_first_replica_and_is_answered_by_it() -> None:
    async with world() as here:
        asked = asyncio.create_task(here.ask(GET))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        assert (here.held.requests, here.held.bytes) == (1, len(GET))
        here.ready(await here.replica())
        assert await asked == OK
        assert here.seen == [GET]
        assert {door.service for door in here.woken} == {("team", "fraud")}
        assert (here.held.requests, here.held.bytes) == (0, 0)


async def test_a_connection_without_a_byte_wakes_nobody_and_is_closed_in_time() -> None:
    async with world(silence_seconds=0.1) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert here.woken == []


async def test_a_body_larger_than_what_is_kept_arrives_whole() -> None:
    body = bytes(range(256)) * 8192
    async with world() as here:
        asked = asyncio.create_task(here.ask(GET + body))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.ready(await here.replica(until=lambda data: len(data) == len(GET) + len(body)))
        assert await asked == OK
        assert here.seen == [GET + body]


async def test_a_replica_that_is_full_with_what_was_kept_stops_the_reading_of_the_rest() -> None:
    here, pod = World(Limits(bytes_each=len(GET))), ("127.0.0.1", 1)
    room = WaitingRoom(here.house, Door(("team", "fraud"), "http"), here.woken.append)
    client = Client(here.house, room)
    upstream = Upstream(room, pod, client, asyncio.timeout(None))
    outside = Pipe(client)
    client.data_received(GET)
    reads = [outside.reads]
    async with upstream.limit:
        inside = Pipe(upstream, full=True)
    reads.append(outside.reads)
    upstream.resume_writing()
    reads.append(outside.reads)
    assert reads == [False, False, True]
    assert inside.reads


async def test_a_replica_that_speaks_first_is_heard() -> None:
    """As servers of HTTP/2 do; what came before the two ends were joined was lost."""

    def greet() -> list[socket.socket]:
        accepted: list[socket.socket] = []
        while len(accepted) < 20:
            accepted.append(server.accept()[0])
            accepted[-1].sendall(b"settings")
        return accepted

    async with world() as here:
        with socket.create_server(("127.0.0.1", 0)) as server:
            connected = [await asyncio.open_connection("127.0.0.1", PORT) for _ in range(20)]
            for _, writer in connected:
                writer.write(b"PRI * HTTP/2.0")
            await asyncio.wait_for(here.wake_event.wait(), 5)
            greeting = asyncio.create_task(asyncio.to_thread(greet))
            here.ready(server.getsockname()[1])
            async with asyncio.timeout(5):
                assert [await reader.readexactly(8) for reader, _ in connected] == [b"settings"] * 20
        for _, writer in connected:
            writer.close()
        for one in await greeting:
            one.close()


async def test_a_connection_to_a_replica_that_is_there_as_the_time_for_it_ends_gets_no_request() -> None:
    here, pod = World(Limits()), ("127.0.0.1", 1)
    room = WaitingRoom(here.house, Door(("team", "fraud"), "http"), here.woken.append)
    client = Client(here.house, room)
    Pipe(client)
    client.data_received(GET)
    upstream = Upstream(room, pod, client, asyncio.timeout(0))
    with pytest.raises(TimeoutError):
        async with upstream.limit:
            await asyncio.Event().wait()
    late = Pipe(upstream)
    assert (late.closed, late.written, client.state) == (True, b"", State.HELD)


async def test_a_client_may_end_its_side_before_it_is_answered() -> None:
    async with world() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(GET)
        writer.write_eof()
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.ready(await here.replica(until=lambda _: False))
        assert await asyncio.wait_for(reader.read(), 5) == OK
        writer.close()


@pytest.mark.parametrize(
    "first", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes((0x16, 3, 1, 0, 5))], ids=["HTTP/2", "TLS"]
)
async def test_a_client_of_which_an_end_can_only_mean_that_it_gave_up_is_let_go_at_once(first: bytes) -> None:
    """Both have more to say before they are answered; those that had given up filled the limits of those that wait."""
    async with world() as here, asyncio.timeout(5):
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(first)
        await here.wake_event.wait()
        writer.close()
        await here.house.empty.wait()
        assert (here.held.requests, here.held.bytes) == (0, 0)


async def test_a_client_that_keeps_its_end_when_a_replica_has_closed_is_let_go_in_time() -> None:
    """As pools do, which look at a connection when they want it again."""
    async with world(silence_seconds=1) as here, asyncio.timeout(5):
        here.ready(await here.replica())
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(GET)
        assert await reader.read() == OK
        assert here.held.connections == 1
        await here.house.empty.wait()
        writer.close()


async def test_those_who_wait_spread_over_the_replicas_that_come() -> None:
    async with world(unanswered_a_pod=1) as here:
        first, second = asyncio.Event(), asyncio.Event()
        counts = {"127.0.0.1": 0, "127.0.0.2": 0}

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            address = writer.get_extra_info("sockname")[0]
            counts[address] += 1
            (first if address == "127.0.0.1" else second).set()
            await asyncio.gather(first.wait(), second.wait())
            writer.write(OK)
            writer.close()

        server = await asyncio.start_server(serve, ["127.0.0.1", "127.0.0.2"], 7999)
        asked = [asyncio.create_task(here.ask(GET)) for _ in range(6)]
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.ready(7999)
        await asyncio.wait_for(first.wait(), 5)
        here.ready(7999, addresses=("127.0.0.1", "127.0.0.2"))
        assert set(await asyncio.gather(*asked)) == {OK}
        assert counts["127.0.0.2"] >= 1
        server.close()


async def test_a_replica_that_takes_no_connection_costs_no_request() -> None:
    async with world(retry_seconds=0.02) as here:
        port = await here.replica()
        asked = asyncio.create_task(here.ask(GET))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.ready(1)  # a port that nothing listens on: refused
        here.ready(port)
        assert await asked == OK


async def test_a_client_that_goes_at_the_moment_it_is_sent_on_leaves_its_place_at_the_replica_to_the_next() -> None:
    """A task that is cancelled before its first step never runs, and so took the place along."""
    async with world(unanswered_a_pod=1) as here, asyncio.timeout(5):
        room = WaitingRoom(here.house, Door(("team", "fraud"), "http"), here.woken.append)
        room.update((("127.0.0.1", await here.replica()),))
        first, second = Client(here.house, room), Client(here.house, room)
        for client in (first, second):
            Pipe(client)
            client.data_received(GET)
        assert first.joining is not None
        first.connection_lost(None)
        await asyncio.gather(first.joining, return_exceptions=True)
        assert second.joining is not None
        await second.joining
        assert second.state is State.SPLICED
        second.connection_lost(None)


async def test_a_replica_that_dies_with_a_request_in_its_hands_ends_the_connection_and_nothing_is_repeated() -> None:
    async with world() as here:
        port = await here.replica(answer=b"")
        here.ready(port)
        assert await here.ask(GET) == b""
        assert here.seen == [GET], "it may have had its effect: to send it again is the client's to decide"


async def test_who_waits_too_long_is_told_when_to_come_back() -> None:
    async with world(hold_seconds=0.1) as here:
        answer = await here.ask(GET)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in head
        assert b"no replica was ready within" in body


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"held": 0}, b"too many requests"),
        ({"held_of_a_model": 0}, b"too many requests"),
        ({"held_bytes": 3}, b"bytes"),
    ],
    ids=["of all models", "of one model", "of bytes"],
)
async def test_who_comes_when_a_limit_is_reached_is_refused_at_once(limits: dict[str, float], words: bytes) -> None:
    async with world(**limits) as here:
        answer = await here.ask(GET)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert words in answer
        assert (here.held.requests, here.held.bytes) == (0, 0)


async def test_tls_is_handed_on_untouched_and_refused_by_an_alert() -> None:
    hello = bytes((0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3))
    async with world() as here:
        here.ready(await here.replica(answer=b"\x16server", until=lambda data: data == hello))
        assert await here.ask(hello) == b"\x16server"
    async with world(hold_seconds=0.1) as here:
        assert await here.ask(hello) == bytes((0x15, 3, 1, 0, 2, 2, 80))


async def test_a_client_that_speaks_tls_meets_the_replica_that_has_the_key(authority: Authority) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert, authority.key)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with world() as here, aiohttp.ClientSession() as client:
        asked = asyncio.create_task(client.get(f"https://127.0.0.1:{PORT}/v2", ssl=authority.client()))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.ready(server.sockets[0].getsockname()[1])
        answer = await asyncio.wait_for(asked, 10)
        assert (answer.status, await answer.read()) == (200, b"hi")
    server.close()


async def test_clients_of_tls_are_refused_by_an_alert_and_not_left_to_wait(authority: Authority) -> None:
    async with world(hold_seconds=0.1) as here, aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectorSSLError, match="ALERT_INTERNAL_ERROR"):
            await asyncio.wait_for(client.get(f"https://127.0.0.1:{PORT}/v2", ssl=authority.client()), 10)
        with pytest.raises(grpc.RpcError) as refused:
            await asyncio.to_thread(secure_grpc_call, PORT + 1, authority.root.read_bytes())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert here.held.requests == 0


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    return made


def secure_grpc_call(port: int, root: bytes) -> None:
    credentials = grpc.ssl_channel_credentials(root)
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"hello", timeout=5)


async def test_what_is_no_protocol_of_ours_is_closed_without_a_word() -> None:
    async with world(hold_seconds=0.1) as here:
        assert await here.ask(b"\x00\x01") == b""


def grpc_call(port: int, seconds: float) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        answer: bytes = call(b"hello", timeout=seconds)
        return answer


async def test_grpc_waits_and_is_answered_by_the_replica() -> None:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    echo = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    handlers = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ServerLive": echo})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    async with world() as here:
        called = asyncio.create_task(asyncio.to_thread(grpc_call, PORT + 1, 15))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.ready(1, grpc_port=port)
        assert await called == b"hello"
    server.stop(None)


async def test_grpc_is_refused_as_unavailable() -> None:
    async with world(held=0, linger_seconds=5) as here:
        with pytest.raises(grpc.RpcError) as refused:
            await asyncio.to_thread(grpc_call, PORT + 1, 5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "too many requests wait" in refused.value.details()
        assert here.woken == []


async def test_a_model_that_goes_takes_its_port_along_and_tells_who_waits() -> None:
    async with world() as here:
        asked = asyncio.create_task(here.ask(GET))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        here.listeners.sink(None, "DELETED", {"metadata": {"uid": "ours"}})
        await here.listeners.settle()
        assert b"being removed" in await asked
        with pytest.raises(ConnectionRefusedError):
            await here.ask(GET)


async def test_who_waits_for_a_model_waits_on_as_proxies_come_before_it_and_never_goes_to_those() -> None:
    async with world() as here:
        asked = asyncio.create_task(here.ask(GET))
        await asyncio.wait_for(here.wake_event.wait(), 5)
        past = slice_of("past", {"http": PORT, "grpc": PORT + 1}, ours=True, service="fraud-direct")
        here.listeners.sink(None, "ADDED", past)
        await here.listeners.settle()
        here.ready(await here.replica(answer=b"a proxy"))
        here.listeners.sink(None, "DELETED", {"metadata": {"uid": "ours"}})
        await here.listeners.settle()
        assert here.held.requests == 1
        here.ready(await here.replica(), service="fraud-direct")
        assert await asked == OK


async def test_a_watch_of_one_namespace_takes_nothing_of_another_for_deleted() -> None:
    world = World(Limits())
    other = slice_of("other", {"http": PORT + 2}, ours=True)
    world.listeners.sink(None, "ADDED", slice_of("ours", {"http": PORT}, ours=True))
    world.listeners.sink(None, "ADDED", other | {"metadata": {**other["metadata"], "namespace": "else"}})
    known = {namespace: sorted(world.listeners.known(None, namespace)) for namespace in ("team", "else", None)}
    assert known == {"team": ["ours"], "else": ["other"], None: ["other", "ours"]}
