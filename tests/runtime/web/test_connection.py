"""What goes over one connection, byte by byte: order, limits, clients that stall, vanish, or speak no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
import pytest

from foresail_runtime import contract
from foresail_runtime.settings import POD_CONNECTION_SECONDS, Settings
from tests.runtime.gate import Gate
from tests.runtime.timing import until

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

PATIENCE = 10.0
MEBIBYTE = 2**20


def body(identity: str, factor: float = 1.0, rows: int = 1) -> bytes:
    tensor = {"name": "input", "shape": [rows, 32], "datatype": "FP32", "data": [factor] * 32 * rows}
    return orjson.dumps({"id": identity, "inputs": [tensor]})


def post(text: bytes, *more: str, version: str = "1.1", path: str = "/v2/models/m/infer") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(text)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + text


def in_chunks(text: bytes) -> bytes:
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [text[start : start + 2**16] for start in range(0, len(text), 2**16)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


class Wire:
    """A raw client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    opened: ClassVar[list[Wire]] = []

    @classmethod
    async def open(cls, server: Server) -> Wire:
        cls.opened.append(cls(*await asyncio.open_connection("127.0.0.1", server.port)))
        return cls.opened[-1]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            data = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return int(first.split()[1]), headers, orjson.loads(data) if data[:1] == b"{" else data

    async def ended(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@pytest.fixture(autouse=True)
async def hang_up() -> AsyncIterator[None]:
    yield
    while Wire.opened:
        await Wire.opened.pop().close()


@pytest.fixture
async def server(serve: Start, mlp: pathlib.Path) -> Server:
    made: Server = await serve(mlp, {"batching": contract.Batching(max_size=64)})
    return made


async def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    wire = await Wire.open(server)
    await wire.send(b"".join(post(body(str(number))) for number in range(20)))
    answers = [await wire.answer() for _ in range(20)]
    assert [document["id"] for _, _, document in answers] == [str(number) for number in range(20)]
    await wire.close()


async def test_short_and_long_way_keep_the_order_of_one_connection(server: Server) -> None:
    wire = await Wire.open(server)
    for _ in range(10):
        large = body("large", rows=200)
        await wire.send(post(body("1")) + get("/v2/health/live") + post(large) + post(body("2")) + get("/v2/nothing"))
        got = [await wire.answer() for _ in range(5)]
        assert [status for status, _, _ in got] == [200, 200, 200, 200, 404]
        assert [document.get("id") for _, _, document in got] == ["1", None, "large", "2", None]
    await wire.close()


BROKEN = {
    "no HTTP": b"GARBAGE\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a body of no chunks": in_chunks(b"abc").replace(b"\r\n0\r\n", b"\r\nzz\r\n"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_requests_before_a_broken_one_are_answered_first(server: Server, count: int, broken: bytes) -> None:
    wire = await Wire.open(server)
    await wire.send(b"".join(post(body(str(number))) for number in range(count)) + broken)
    answers = [await wire.answer() for _ in range(count + 1)]
    assert [status for status, _, _ in answers] == [200] * count + [400]
    assert [document["id"] for _, _, document in answers[:count]] == [str(number) for number in range(count)]
    assert await wire.ended()


async def test_what_comes_behind_a_broken_request_brings_nothing_back(server: Server) -> None:
    gate = Gate(server)
    wire = await Wire.open(server)
    await wire.send(post(body("1")) + b"GARBAGE\r\n\r\n")
    await until(lambda: gate.runs == 1)
    await wire.send(post(body("2")))
    await until(lambda: pipelined(server) == 2)
    gate.gate.set()
    answers = [await wire.answer() for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 400]
    assert await wire.ended()


def head(lines: int, *more: str) -> bytes:
    """Headers that have not come to their end, of a thousand bytes a line."""
    start = ["GET /v2/health/live HTTP/1.1", "Host: x", *more]
    return "".join(f"{line}\r\n" for line in [*start, *(f"H{number}: {'a' * 990}" for number in range(lines))]).encode()


TOO_MUCH = "the request has more than 65536 bytes of headers: send fewer, or shorter ones"


@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["without an end", "with an end"])
@pytest.mark.parametrize("piece", [3000, 2**20], ids=["in pieces", "at once"])
@pytest.mark.parametrize("before", [0, 2])
async def test_headers_that_are_too_much_together_are_refused_whether_or_not_they_end(
    server: Server, before: int, piece: int, end: bytes
) -> None:
    wire = await Wire.open(server)
    for number in range(before):
        await wire.send(post(body(str(number))))
        assert (await wire.answer())[0] == 200
    data = head(70) + end
    with contextlib.suppress(ConnectionError):
        for start in range(0, len(data), piece):
            await wire.send(data[start : start + piece])
    status, headers, document = await wire.answer()
    assert (status, headers["connection"], document) == (431, "close", {"error": TOO_MUCH})
    assert server.app.metrics.rejected["malformed"] == 1


async def test_headers_behind_requests_under_way_are_refused_once_those_are_answered(server: Server) -> None:
    gate = Gate(server)
    wire = await Wire.open(server)
    await wire.send(post(body("1")))
    await until(lambda: gate.runs == 1)
    await wire.send(post(body("2")))
    await until(lambda: pipelined(server) == 1)
    await wire.send(head(70))
    await until(lambda: pipelined(server) == 2)
    gate.gate.set()
    answers = [await wire.answer() for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 431]
    assert await wire.ended()


async def test_headers_behind_the_last_chunk_are_refused_when_they_are_too_much(server: Server) -> None:
    wire = await Wire.open(server)
    await wire.send(in_chunks(body("1")).removesuffix(b"\r\n"))
    await until(lambda: any(connection._body is not None for connection in server.app._http._connections()))
    with contextlib.suppress(ConnectionError):
        await wire.send(head(70).partition(b"Host: x\r\n")[2])
    status, headers, document = await wire.answer()
    assert (status, headers["connection"]) == (400, "close")
    assert document["error"].startswith("the body is not as its ")


async def test_many_headers_that_fit_and_bodies_of_any_size_are_no_headers(server: Server) -> None:
    wire = await Wire.open(server)
    for _ in range(3):
        await wire.send(head(60) + b"\r\n")
        assert (await wire.answer())[0] == 200
        large = post(body("1", rows=4000))
        assert len(large) > 5 * 2**16
        for start in range(0, len(large), 50_000):
            await wire.send(large[start : start + 50_000])
            await asyncio.sleep(0)
        assert (await wire.answer())[0] == 200
        await wire.send(in_chunks(large.partition(b"\r\n\r\n")[2]) + head(60))
        assert (await wire.answer())[0] == 200
        await wire.send(b"\r\n")
        assert (await wire.answer())[0] == 200


async def test_a_client_that_wants_to_end_is_told_nothing_of_what_is_broken_behind(server: Server) -> None:
    wire = await Wire.open(server)
    await wire.send(post(body("1"), "Connection: close") + b"GARBAGE\r\n\r\n")
    assert (await wire.answer())[2]["id"] == "1"
    assert await wire.ended()


@pytest.mark.parametrize("cut", [1, 10, 30, 60, 90, 120, 400])
async def test_a_request_may_come_in_pieces(server: Server, cut: int) -> None:
    wire = await Wire.open(server)
    data = post(body("pieces"))
    for start in range(0, len(data), cut):
        await wire.send(data[start : start + cut])
        await asyncio.sleep(0)
    assert (await wire.answer())[2]["id"] == "pieces"
    await wire.send(data)
    assert (await wire.answer())[2]["id"] == "pieces"
    await wire.close()


async def test_expect_100_continue_is_answered_before_the_body(server: Server) -> None:
    wire = await Wire.open(server)
    data = post(body("e"), "Expect: 100-continue")
    head, text = data.split(b"\r\n\r\n", 1)
    await wire.send(head + b"\r\n\r\n")
    assert await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), PATIENCE) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.send(text)
    assert (await wire.answer())[2]["id"] == "e"
    await wire.close()


async def test_http_1_0_knows_no_100_continue(server: Server) -> None:
    wire = await Wire.open(server)
    head, text = post(body("e"), "Expect: 100-continue", version="1.0").split(b"\r\n\r\n", 1)
    await wire.send(head + b"\r\n\r\n")
    await server.call("GET", "/v2")  # by then the head has been read
    await wire.send(text)
    assert (await wire.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.0 200 ")
    await wire.close()


async def test_http_1_0_is_answered_and_closed(server: Server) -> None:
    wire = await Wire.open(server)
    await wire.send(post(body("old"), version="1.0"))
    assert (await wire.answer())[2]["id"] == "old"
    assert await wire.ended()
    await wire.close()


async def test_connection_close_is_obeyed(server: Server) -> None:
    wire = await Wire.open(server)
    await wire.send(post(body("last"), "Connection: close"))
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await wire.ended()
    await wire.close()


async def test_nothing_is_answered_behind_an_answer_that_was_to_be_the_last(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, max_body_bytes=1000)
    wire = await Wire.open(server)
    head, text = post(b" " * 1001).split(b"\r\n\r\n", 1)
    await wire.send(head + b"\r\n\r\n")
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (413, "close")
    await wire.send(text + post(body("behind")))
    assert await wire.ended()
    await wire.close()


async def test_an_absolute_address_in_the_request_line_is_understood(server: Server) -> None:
    wire = await Wire.open(server)
    await wire.send(post(body("proxy"), path="http://example.test/v2/models/m/infer"))
    assert (await wire.answer())[0] == 200
    await wire.close()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTQ/1.1\r\n\r\n",
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
    ids=["TLS", "no HTTP", "a length that is none", "two lengths", "a header without end"],
)
async def test_what_is_no_http_is_400_and_the_end_of_the_connection(server: Server, rubbish: bytes) -> None:
    wire = await Wire.open(server)
    await wire.send(rubbish)
    status, _, document = await wire.answer()
    assert (status, set(document)) == (400, {"error"})
    assert await wire.ended()
    await wire.close()
    assert (await server.call("GET", "/v2/health/live"))[0] == 200


@pytest.mark.parametrize(
    "chunk", [b"zz\r\nabc", b"-1\r\n", b"5\r\nabcdefgh\r\n", b"ffffffffffffffffffff\r\n"], ids=repr
)
async def test_chunks_that_are_none_are_refused(server: Server, chunk: bytes) -> None:
    wire = await Wire.open(server)
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    await wire.send(head)
    await asyncio.sleep(0)
    await wire.send(chunk)
    status, _, document = await wire.answer()
    assert (status, set(document)) == (400, {"error"})
    assert await wire.ended()


async def test_a_client_that_hangs_up_in_its_body_is_no_failure_of_ours(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await Wire.open(server)
    await wire.send(post(body("x", rows=300))[:1000])
    await until(lambda: server.app.serving.in_flight == 1)
    await wire.close()
    await until(lambda: server.app.serving.in_flight == 0)
    (model,) = server.app.serving.models()
    assert dict(model.metrics.outcomes) == {("infer", 400): 1}  # it may have closed its sending half only
    ours = [record for record in caplog.records if record.name.startswith(("foresail", "aiohttp", "asyncio"))]
    assert ours == []  # an exporter of another test's traces may still be trying


async def test_a_body_that_never_ends_is_given_up(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, body_timeout_seconds=0.1)
    wire = await Wire.open(server)
    await wire.send(post(body("x"))[:-5])
    status, headers, document = await wire.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert "did not arrive within 0.1 s" in document["error"]
    await wire.close()


async def test_a_connection_without_a_request_is_given_up(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, header_timeout_seconds=0.1)
    wire = await Wire.open(server)
    await wire.send(b"POST /v2/models/m/inf")
    assert await wire.ended()
    await wire.close()


async def test_an_idle_connection_is_closed(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, keepalive_seconds=0.2)
    wire = await Wire.open(server)
    await wire.send(post(body("x")))
    assert (await wire.answer())[0] == 200
    assert await wire.ended()
    await wire.close()


async def test_of_too_many_connections_the_newest_idle_ones_are_closed(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, max_connections=2)
    kept = [await Wire.open(server) for _ in range(2)]
    for wire in kept:
        await wire.send(post(body("a")))
        assert (await wire.answer())[0] == 200
    more = [await Wire.open(server) for _ in range(2)]
    assert [await wire.ended() for wire in more] == [True, True], "long before they are late with a request"
    for wire in kept:
        await wire.send(post(body("b")))
        assert (await wire.answer())[0] == 200


async def test_a_connection_of_age_ends_politely_on_either_way(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, connection_seconds=0.05)
    for data in (post(body("short way")), get("/v2/health/live")):
        wire = await Wire.open(server)
        headers: dict[str, str] = {}
        while "connection" not in headers:
            await wire.send(data)
            status, headers, _ = await wire.answer()
            assert status == 200
        assert headers["connection"] == "close"
        assert await wire.ended()


@pytest.mark.parametrize("way", ["short", "long"])
async def test_a_connection_of_age_answers_what_was_sent_already(serve: Start, mlp: pathlib.Path, way: str) -> None:
    server = await serve(mlp, connection_seconds=0.0)
    wire = await Wire.open(server)
    more = () if way == "short" else ("Origin: http://x",)
    await wire.send(b"".join(post(body(str(number)), *more) for number in range(5)))
    answers = [await wire.answer() for _ in range(5)]
    assert [document["id"] for _, _, document in answers] == ["0", "1", "2", "3", "4"]
    assert [headers.get("connection") for _, headers, _ in answers] == [None] * 4 + ["close"]
    assert await wire.ended()


async def test_the_connection_that_asks_for_the_load_never_ages(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, connection_seconds=0.01)
    wire = await Wire.open(server)
    born = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > born + 0.02)
    for _ in range(3):
        await wire.send(get(contract.LOAD_PATH))
        status, headers, _ = await wire.answer()
        assert (status, headers.get("connection")) == (200, None)


@pytest.mark.parametrize(
    ("given", "age"),
    [
        (Settings(), None),
        (Settings(drain_seconds=5), POD_CONNECTION_SECONDS),
        (Settings(drain_seconds=5, connection_seconds=60), 60),
    ],
    ids=["a laptop", "a pod", "as told"],
)
def test_connections_age_where_a_service_leads_clients_elsewhere(given: Settings, age: float | None) -> None:
    assert given.connection_age_seconds == age


async def test_many_connections_last_longer_so_that_few_are_ended_a_second(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, connection_seconds=0.01)
    crowd = [await Wire.open(server) for _ in range(100)]
    for wire in crowd:
        await wire.send(get("/v2/health/live"))
        assert (await wire.answer())[0] == 200
    youngest = crowd[-1]  # may last 1.5 s at least, a hundredth of which would end it were it alone
    born = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > born + 0.1)
    await youngest.send(get("/v2/health/live"))
    assert "connection" not in (await youngest.answer())[1]
    for wire in crowd:
        await wire.close()


def pipelined(server: Server) -> int:
    """Return how many requests wait on the only connection for the one before them."""
    (connection,) = server.app._http._connections()
    return len(connection._messages)


async def test_a_client_that_hangs_up_leaves_the_queue(server: Server) -> None:
    gate = Gate(server)
    first, small, large = [await Wire.open(server) for _ in range(3)]
    await first.send(post(body("first")))
    await until(lambda: gate.runs == 1)
    await small.send(post(body("small")))
    await large.send(post(body("large", rows=60)))
    await until(lambda: gate.batcher.queued == 2)
    assert server.app.serving.in_flight == 3
    for wire in (small, large):
        await wire.close()
    await until(lambda: gate.batcher.queued == 0)
    gate.gate.set()
    assert (await first.answer())[0] == 200
    await until(lambda: server.app.serving.in_flight == 0)
    assert gate.runs == 1
    await first.close()


async def test_a_waiting_request_counts_as_its_tensors_where_they_are_larger_than_its_json(server: Server) -> None:
    gate = Gate(server)
    first, small, large = [await Wire.open(server) for _ in range(3)]
    await first.send(post(body("first")))
    await until(lambda: gate.runs == 1)
    words, zeros = body("words", 0.25), body("zeros", 0, rows=60)
    assert len(words) > 32 * 4
    assert len(zeros) < 60 * 32 * 4
    await small.send(post(words))
    await until(lambda: gate.batcher.queued == 1)
    assert gate.batcher.queued_bytes == len(words)
    await large.send(post(zeros))
    await until(lambda: gate.batcher.queued == 2)
    assert gate.batcher.queued_bytes == len(words) + 60 * 32 * 4
    gate.gate.set()
    assert [(await wire.answer())[0] for wire in (first, small, large)] == [200] * 3


@pytest.mark.parametrize("expected", [429, 503])
async def test_a_full_queue_answers_429_or_503_as_set_while_the_engine_works(
    serve: Start, mlp: pathlib.Path, expected: int
) -> None:
    server = await serve(mlp, {"max_queue_size": 2}, overload_status=expected)
    gate = Gate(server)
    wires = [await Wire.open(server) for _ in range(4)]
    await wires[0].send(post(body("0")))
    await until(lambda: gate.runs == 1)
    for wire in wires[1:3]:
        await wire.send(post(body("queued")))
    await until(lambda: gate.batcher.queued == 2)
    await wires[3].send(post(body("too many")))
    status, headers, document = await wires[3].answer()
    assert (status, headers["retry-after"], set(document)) == (expected, "1", {"error"})
    padding = b"X-Filler: x\r\nAccept-Encoding: gzip\r\n\r\n"
    await wires[3].send(post(body("too many", rows=40)).replace(b"\r\n\r\n", b"\r\n" + padding, 1))  # the long way
    assert (await wires[3].answer())[0] == expected
    gate.gate.set()
    assert [(await wire.answer())[0] for wire in wires[:3]] == [200, 200, 200]
    await until(lambda: server.app.serving.in_flight == 0)
    assert server.app.serving.model("m").metrics.outcomes == {("infer", 200): 3, ("infer", expected): 2}
    load = server.app.serving.load(latency=True)
    assert (load.requests, load.refused, sum(load.latency)) == (5, 2, 3)
    for wire in wires:
        await wire.close()


async def test_bodies_that_fill_the_memory_for_them_are_refused_unread(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, max_held_bytes=100_000)
    slow, next_one = await Wire.open(server), await Wire.open(server)
    await slow.send(post(body("slow", rows=600))[:60_000])
    await until(lambda: server.app.serving.in_flight == 1)
    await next_one.send(post(body("refused", rows=600))[:500])
    status, headers, document = await next_one.answer()
    assert (status, headers["retry-after"], set(document)) == (429, "1", {"error"})
    assert (server.app.serving.load().requests, server.app.serving.load().refused) == (1, 1)
    await slow.send(post(body("slow", rows=600))[60_000:])
    assert (await slow.answer())[2]["id"] == "slow"


async def test_a_body_in_chunks_counts_what_it_holds(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, max_held_bytes=4 * MEBIBYTE)
    slow, chunked = await Wire.open(server), await Wire.open(server)
    large = body("slow") + b" " * 2 * MEBIBYTE
    await slow.send(post(large)[:-1])
    await until(lambda: server.app.serving.in_flight == 1)
    await chunked.send(in_chunks(body("chunks") + b" " * 3 * MEBIBYTE))
    status, headers, document = await chunked.answer()
    assert (status, headers["retry-after"], set(document)) == (429, "1", {"error"})
    await slow.send(large[-1:])
    assert (await slow.answer())[2]["id"] == "slow"
    again = await Wire.open(server)
    await again.send(in_chunks(body("chunks") + b" " * 3 * MEBIBYTE))
    assert (await again.answer())[2]["id"] == "chunks"


async def test_a_deadline_in_the_queue_is_504(server: Server) -> None:
    gate = Gate(server)
    first, late = await Wire.open(server), await Wire.open(server)
    await first.send(post(body("first")))
    await until(lambda: gate.runs == 1)
    document = orjson.loads(body("late")) | {"parameters": {"timeout": 10_000}}
    await late.send(post(orjson.dumps(document)))
    status, _, answer = await late.answer()
    assert (status, set(answer)) == (504, {"error"})
    gate.gate.set()
    assert (await first.answer())[0] == 200
    for wire in (first, late):
        await wire.close()


async def test_what_is_pipelined_behind_a_waiting_request_waits(server: Server) -> None:
    gate = Gate(server)
    wire = await Wire.open(server)
    await wire.send(post(body("1")))
    await until(lambda: gate.runs == 1)
    await wire.send(post(body("2")) + get("/v2/health/live"))
    await asyncio.sleep(0)
    gate.gate.set()
    assert [(await wire.answer())[2].get("id") for _ in range(3)] == ["1", "2", None]
    await wire.close()


async def test_each_packet_behind_a_waiting_request_waits(server: Server) -> None:
    """The second was held back; the third, which found the queue filled, had both of them answered before the first."""
    gate = Gate(server)
    wire = await Wire.open(server)
    await wire.send(post(body("1")))
    await until(lambda: gate.runs == 1)
    await wire.send(get("/v2/health/live"))
    await until(lambda: pipelined(server) == 1)
    await wire.send(get("/v2/nothing"))
    await until(lambda: pipelined(server) != 1)
    gate.gate.set()
    assert [(await wire.answer())[2].get("id", "none") for _ in range(3)] == ["1", "none", "none"]


async def test_a_mistake_of_ours_is_500_with_a_number_and_the_server_goes_on(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(server)

    gate.gate.set()
    gate.engine = None  # every run is an AttributeError now
    wire = await Wire.open(server)
    await wire.send(post(body("x")))
    status, _, document = await wire.answer()
    assert status == 500
    assert "internal error" in document["error"]
    assert "AttributeError" in caplog.text
    await wire.send(get("/v2/health/live"))
    assert (await wire.answer())[0] == 200
    await wire.close()


async def test_the_access_log_says_who_asked_what(
    serve: Start, mlp: pathlib.Path, access_lines: Callable[[Server], list[dict[str, Any]]]
) -> None:
    server = await serve(mlp, access_log=True, log_format="json")
    wire = await Wire.open(server)
    await wire.send(post(body("secret payload"), "X-Request-Id: r-1") + get("/v2/health/live"))
    assert [(await wire.answer())[0] for _ in range(2)] == [200, 200]
    lines = access_lines(server)
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/v2/models/m/infer", 200),
        ("GET", "/v2/health/live", 200),
    ]
    assert lines[0]["request_id"] == "r-1"
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    assert {(line["level"], line["message"]) for line in lines} == {("INFO", "answered")}
    assert all(line["milliseconds"] > 0 and line["bytes"] > 0 for line in lines)
    assert "secret" not in str(lines)
    await wire.close()
