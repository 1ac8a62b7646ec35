"""Hundreds of requests that are wrong, odd or contradictory: each is answered, in words, and none is our mistake.

Bytes go over raw sockets, since no client would send them. What is asserted of each: an answer comes, its status is
the one of the table, and a refusal is `{"error": …}` of bounded length; the server answers well after all.
"""

from __future__ import annotations

import asyncio
import gzip
import struct
import zlib
from typing import TYPE_CHECKING, Any

import orjson
import pytest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Mapping

    from tests.runtime.conftest import Server

    Table = Mapping[str, tuple[bytes, int]]

INFER = "/v2/models/m/infer"
ROW = [round(number / 7, 4) for number in range(32)]
DATA = struct.pack("<32f", *ROW)
LIMIT = 200_000
LENGTH = "Inference-Header-Content-Length"


def message(method: str, path: str, *headers: str, body: bytes | None = None, version: str = "HTTP/1.1") -> bytes:
    lines = [f"{method} {path} {version}", "Host: x", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape") + (body or b"")


def get(path: str, *headers: str, **more: Any) -> bytes:
    return message("GET", path, *headers, **more)


def post(body: Any, *headers: str, path: str = INFER, method: str = "POST", version: str = "HTTP/1.1") -> bytes:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return message(method, path, *headers, body=data, version=version)


def unsized(body: bytes, *headers: str) -> bytes:
    """A request that says nothing of its length but in these headers."""
    return message("POST", INFER, *headers) + body


def tensor(**changes: Any) -> dict[str, Any]:
    made = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": ROW, **changes}
    return {key: value for key, value in made.items() if value is not ...}


def request(*inputs: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": list(inputs or [tensor()]), **more}


def with_input(**changes: Any) -> bytes:
    return post(request(tensor(**changes)))


def with_number(text: bytes) -> bytes:
    """A request with a number that orjson would not write."""
    return post(orjson.dumps(request(tensor(data=[*ROW[1:], "@"]))).replace(b'"@"', text))


def binary(head: dict[str, Any], *parts: bytes) -> bytes:
    text = orjson.dumps(head)
    return post(b"".join((text, *parts)), f"{LENGTH}: {len(text)}")


def sized(size: Any = 128, **changes: Any) -> dict[str, Any]:
    return request(tensor(data=..., parameters={"binary_data_size": size}, **changes))


def chunks(*parts: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


JSON = orjson.dumps(request())
CHUNKED = "Transfer-Encoding: chunked"

BAD_JSON: Table = {
    text[:20].decode("latin-1"): (post(text), 400)
    for text in (
        b"", b"   ", b"null", b"[]", b"1", b'"x"', b"{", b"\0", JSON + b"\0", JSON + JSON, b"\xef\xbb\xbf" + JSON,
        JSON.decode().encode("utf-16"), b'{"inputs": [],}', b'{/**/"inputs": []}', b'{"id": "\xff", "inputs": []}',
        b'{"id": "\\ud800", "inputs": []}', b'{"inputs": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
        b'{"inputs": {}}', b'{"inputs": "x"}', b'{"inputs": [null]}', b'{"inputs": [[]]}', b'{"inputs": []}',
    )
}  # fmt: skip
BAD_NUMBERS: Table = {
    text.decode()[:20]: (with_number(text), 400)
    for text in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1e39", b"-1e39", b"9" * 5000, b"0x1", b"01", b"1.",
                 b".5", b"null", b"true", b'"1"', b"[]", b"[1]", b"{}")
}  # fmt: skip
BAD_INPUTS: Table = {
    f"{field} {str(value)[:30]}": (with_input(**{field: value}), 400)
    for field, values in dict[str, list[Any]]({
        "shape": [
            ..., None, 32, "1", {}, [], [32], [1, 31], [-1, 32], [-1, -32], [2**63 - 1, 2**63 - 1], [2**32, 2**32],
            [0, 2**62], [True, 32], [1.0, 32], ["1", 32], [[1, 32]], [1] * 30_000, [1e300, 32], [None, 32], [1, 32, 1],
        ],
        "data": [
            ..., None, "abc", 1, {}, [], ROW[1:], [*ROW, 1], [None] * 32, [True] * 32, ["1"] * 32, [{}] * 32,
            [ROW[:16], ROW[16:]], [[ROW]], [ROW[0], ROW[1:]], [ROW, 1], [ROW, ROW],
        ],
        "name": [..., None, 3, ["input"], {}, "", "x" * 70_000, "\n\0\u2028", "INPUT"],
        "datatype": [..., None, 1, ["FP32"], "fp32", "FP64", "INT32", "", "F" * 70_000],
        "parameters": [[], "x", 1, {"a": {}}, {"a": None}, {"a": [1]}, {"binary_data_size": 128}],
    }).items()
    for value in values
} | {
    "the same input twice": (post(request(tensor(), tensor())), 400),
    "an input too many": (post(request(tensor(), tensor(name="b"))), 400),
    "shared memory": (with_input(data=..., parameters={"shared_memory_region": "r"}), 400),
}  # fmt: skip
BAD_WISHES: list[Any] = [
    {"id": 1}, {"id": []}, {"id": [1] * 50_000}, {"parameters": [1]}, {"parameters": {"a": {}}},
    *[{"parameters": {"timeout": value}} for value in (-1, 1.5, "1", True)],
    *[{"parameters": {"priority": value}} for value in (-1, 1.5, "high", 1e300)],
    {"parameters": {"binary_data_output": "yes"}},
    {"outputs": {}}, {"outputs": "output"}, {"outputs": ["output"]}, {"outputs": [None]}, {"outputs": [{}]},
    {"outputs": [{"name": "nope"}]}, {"outputs": [{"name": "output"}] * 2},
    {"outputs": [{"name": "output", "parameters": []}]},
    *[{"outputs": [{"name": "output", "parameters": {name: value}}]} for name, value in (
        ("binary_data", "true"), ("binary_data", 1), ("classification", 3), ("shared_memory_region", "r"))],
]  # fmt: skip
BAD_REQUESTS: Table = {str(more)[:80]: (post(request(**more)), 400) for more in BAD_WISHES}
ODD_AND_GOOD: Table = {
    str(body)[:60]: (post(body), 200)
    for body in (
        request(id=""), request(id=None), request(id="\U0001f600\0"), request(outputs=[]), request(outputs=None),
        request(parameters=None), request(parameters={"priority": 2**63}), request(parameters={"timeout": 2**64 - 1}),
        request(parameters={"sequence_id": 1, "sequence_start": True, "triton_x": "y", "headers": "z"}),
        request(tensor(parameters=None)), request(tensor(parameters={"a": 1, "b": "x", "c": 1.5})),
        request(tensor(shape=[0, 32], data=[])), request(tensor(data=[ROW])),
        request(tensor(shape=[3, 32], data=[ROW] * 3)),
        request(bar=[{}]), b"\n\t " + JSON + b"\n ", JSON[:-1] + b',"id":"a","id":"b"}',
    )
}  # fmt: skip
BINARY: Table = {
    "as it should be": (binary(sized(), DATA), 200),
    "no rows": (binary(sized(0, shape=[0, 32])), 200),
    "a header around JSON alone": (binary(request()), 200),
    "bytes after JSON alone": (binary(request(), b"abc"), 400),
    "a byte too few": (binary(sized(), DATA[:-1]), 400),
    "a byte too many": (binary(sized(), DATA + b"x"), 400),
    "less than the shape": (binary(sized(64), DATA[:64]), 400),
    "data, too": (binary(request(tensor(parameters={"binary_data_size": 128})), DATA), 400),
    **{f"a size of {size!r}": (binary(sized(size), DATA), 400) for size in (-1, 0, 128.0, "128", True, 2**63)},
    "one tensor": (post(DATA, f"{LENGTH}: 0"), 200),
    "three rows of one tensor": (post(DATA * 3, f"{LENGTH}: 0"), 200),
    "a piece of a row": (post(DATA[:-1], f"{LENGTH}: 0"), 400),
    **{
        f"a length of {text!r}": (post(JSON, f"{LENGTH}: {text}"), 400)
        for text in ("-1", "abc", "1e3", "999999", "", "0x10", "9" * 40, "+5", "1 2", "\uff11", "5, 5")
    },
    "spaces around the length": (post(JSON, f"{LENGTH}:   {len(JSON)}  "), 200),
    "the length twice": (post(JSON, *[f"{LENGTH}: {len(JSON)}"] * 2), 200),
    "two lengths": (post(JSON, f"{LENGTH}: {len(JSON)}", f"{LENGTH}: 5"), 400),
    "two lengths, one of them none": (post(JSON, f"{LENGTH}: 0", f"{LENGTH}: {len(JSON)}"), 400),
}
PACKED: Table = {
    **{
        f"{encoding}: {data[:8]!r}": (post(data, f"Content-Encoding: {encoding}"), status)
        for encoding, data, status in (
            ("gzip", gzip.compress(JSON), 200), ("GZIP", gzip.compress(JSON), 200),
            ("x-gzip", gzip.compress(JSON), 200),
            ("deflate", zlib.compress(JSON), 200), ("deflate", zlib.compress(JSON)[2:-4], 200), ("identity", JSON, 200),
            ("", JSON, 200), ("br", JSON, 415), ("zstd", JSON, 415), ("gzip", JSON, 400), ("deflate", JSON, 400),
            ("gzip", b"", 400), ("gzip", gzip.compress(JSON) + b"xx", 400),
            ("deflate", zlib.compress(JSON) + b"x", 400),
        )
    },
    "cut short": (post(gzip.compress(JSON)[:-5], "Content-Encoding: gzip"), 400),
    "a sum that is wrong": (post(gzip.compress(JSON)[:-8] + b"\0" * 8, "Content-Encoding: gzip"), 400),
    "a bomb": (post(gzip.compress(b"\0" * 10_000_000), "Content-Encoding: gzip"), 413),
    "a bomb in a bomb": (post(gzip.compress(gzip.compress(b"\0" * 10_000_000)), "Content-Encoding: gzip, gzip"), 413),
    "two headers": (
        post(zlib.compress(gzip.compress(JSON)), "Content-Encoding: gzip", "Content-Encoding: deflate"), 200
    ),
    **{
        f"accepts {text}": (post(request(tensor(shape=[100, 32], data=ROW * 100)), f"Accept-Encoding: {text}"), 200)
        for text in ("br", "*", "gzip;q=0", "gzip;q=abc", "gzip;q=2", ";;;", ",,,", "*;q=0", "identity;q=0")
    },
}  # fmt: skip
FRAMES: Table = {
    "chunks": (unsized(chunks(JSON[:10], JSON[10:]), CHUNKED), 200),
    "trailers": (unsized(chunks(JSON, trailer=b"A: b\r\nC: d\r\n"), CHUNKED), 200),
    "an extension of a chunk": (unsized(b"%x;a=b\r\n%b\r\n0;c\r\n\r\n" % (len(JSON), JSON), CHUNKED), 200),
    "no chunk": (unsized(b"0\r\n\r\n", CHUNKED), 400),
    "a size of a chunk that is none": (unsized(b"zz\r\nabc\r\n0\r\n\r\n", CHUNKED), 400),
    "a negative size of a chunk": (unsized(b"-5\r\nabc\r\n0\r\n\r\n", CHUNKED), 400),
    "a huge size of a chunk": (unsized(b"f" * 18 + b"\r\nabc\r\n0\r\n\r\n", CHUNKED), 400),
    "no line end after a chunk": (unsized(b"%x\r\n%bXX0\r\n\r\n" % (len(JSON), JSON), CHUNKED), 400),
    "chunks and a length": (post(chunks(JSON), CHUNKED), 400),
    "another transfer encoding": (unsized(JSON, "Transfer-Encoding: gzip"), 400),
    "no length": (unsized(JSON), 400),
    "two lengths": (post(JSON, "Content-Length: 5"), 400),
    **{
        f"a length of {text!r}": (unsized(JSON, f"Content-Length: {text}"), 400)
        for text in ("-1", "a", "+5", "1e3", "5 5")
    },
    "a length over the limit": (unsized(JSON, "Content-Length: 999999999"), 413),
    "a body over the limit": (post(b" " * (LIMIT + 1)), 413),
    "asks to go on": (post(JSON, "Expect: 100-Continue"), 200),
    "HTTP/1.0": (post(JSON, version="HTTP/1.0"), 200),
    "no version of HTTP": (post(JSON, version="HTTP/x"), 400),
    "TLS": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
    "empty lines first": (b"\r\n\r\n" + get("/v2"), 200),
    "a space before the colon": (b"GET /v2 HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "no colon": (b"GET /v2 HTTP/1.1\r\nHost x\r\n\r\n", 400),
    "a header too long": (get("/v2", "A: " + "x" * 20_000), 400),
    "a path too long": (get("/" + "a" * 20_000), 400),
    "an upgrade": (get("/v2", "Connection: Upgrade", "Upgrade: websocket"), 200),
    "a trace that is none": (post(JSON, "traceparent: zz"), 200),
    "headers that are no text": (
        post(JSON, *[f"{name}: \udcff" for name in ("Origin", "Authorization", "X-Request-Id")]), 200
    ),
    "a type that is none": (post(JSON, "Content-Type: \udcff/;;;=="), 200),
    "a boundary that is no text": (
        post(JSON, "Content-Type: multipart/form-data; boundary=\udcff", path="/v2/models/m/detect"), 400
    ),
    **{f"the method {name}": (post(JSON, method=name), 405) for name in ("PUT", "DELETE", "PATCH", "TRACE")},
}  # fmt: skip
PATHS: Table = {
    **{
        f"{path} is there": (get(path), 200)
        for path in (
            "/v2", "/v2/", "//v2", "/v2?x=%ff", "/v2/health/live/", "http://x/v2", "http://x:80/v2/models/m",
            "/v2/models/%6d", "/v2/models/m/versions/1", "/v2/models/m/versions/%31/ready", "/v2/models/m/config",
            "/v2/models/m/stats", "/v2/models/stats", "/metrics", "/load?latency=%ff", "/openapi.json",
        )
    },
    **{
        f"{path!r} is not there": (get(path), 404)
        for path in (
            "/", "///", "/V2", "/%", "/%zz", "/v2;x", "/v2/health//live", "/v2/models", "/v2/models/",
            "/v2/models//ready", "/v2/models/m%", "/v2/models/m%2F", "/v2/models/m%2Fready", "/v2/models/%00",
            "/v2/models/%ff", "/v2/models/..", "/v2/models/m+", "/../etc/passwd", "/v2/models/m/nope",
            "/v2/models/m/versions/", "/v2/models/m/versions//ready",
            *[f"/v2/models/m/versions/{version}" for version in ("01", "-1", "1.0", "0", "9" * 30, "%31%20")],
            "/v2/logging", "/v2/trace/setting", "/v2/models/m/trace/setting", "/v2/systemsharedmemory/status",
            "/v2/cudasharedmemory/region/x/status", "http://x", "/favicon.ico",
        )
    },
    **{
        f"POST {path!r} is not there": (post(JSON, path=path), 404)
        for path in (
            "/v2/models//infer", "/v2/models/m/versions//infer", "/v2/models/m/versions/01/infer",
            "/v2/models/m%20/infer", "/v2/models/m/generate", "/v2/models/m/generate_stream", "/v1/models/m:predict",
            "/v2/logging", "/v2/systemsharedmemory/region/a/register", "/v2/cudasharedmemory/unregister",
        )
    },
    **{
        f"POST {path!r}": (post(JSON, path=path), 200)
        for path in ("/v2/models/%6D/infer", f"{INFER}?x=%ff", f"http://x{INFER}", f"{INFER}/")
    },
    **{f"{path} takes no GET": (get(path), 405) for path in ("/v2/repository/index", INFER, "/v2/models/m/detect")},
    **{
        f"the index with {body!r}": (post(body, path="/v2/repository/index"), status)
        for status, bodies in ((200, (b"", b"  ", b'{"ready": true}')), (400, (b"{", b"[]", b"\xff")))
        for body in bodies
    },
    **{
        f"{verb} {name!r}, which nobody may": (post(b"{}", path=f"/v2/repository/models/{name}/{verb}"), 403)
        for verb in ("load", "unload")
        for name in ("m", "nope", "..%2F..%2Fetc", "%00", "%ff")
    },
}  # fmt: skip
TABLES: dict[str, Table] = {
    "JSON": BAD_JSON, "numbers": BAD_NUMBERS, "inputs": BAD_INPUTS, "requests": BAD_REQUESTS, "odd": ODD_AND_GOOD,
    "binary": BINARY, "packed": PACKED, "frames": FRAMES, "paths": PATHS,
}  # fmt: skip


@pytest.fixture
async def server(serve: Callable[..., Any], mlp: pathlib.Path) -> Server:
    made: Server = await serve(mlp, max_body_bytes=LIMIT, access_log=True)
    return made


async def answer(port: int, data: bytes) -> tuple[int, bytes]:
    """Return the status and the body of the answer to those bytes, sent over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            while head.startswith(b"HTTP/1.1 100"):
                head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
            return int(lines[0].split()[1]), await reader.readexactly(length)
    finally:
        writer.close()


def is_refusal(body: bytes) -> bool:
    return len(body) < 5000 and set(orjson.loads(body)) == {"error"}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
async def test_whatever_comes_is_answered_as_the_table_says(server: Server, table: Table) -> None:
    wrong: dict[str, Any] = {}
    for story, (data, expected) in table.items():
        status, body = await answer(server.port, data)
        if status != expected or (status >= 400 and not is_refusal(body)):
            wrong[story] = (status, body[:200])
    assert wrong == {}
    assert (await answer(server.port, post(JSON)))[0] == 200


async def said_and_closed(port: int, *pieces: bytes) -> bytes:
    """Return all that is answered to those bytes, after which the client sends no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = b""
    try:
        for piece in pieces[:-1]:
            writer.write(piece)
            answers += await asyncio.wait_for(reader.read(100_000), 10)
        writer.write(pieces[-1])
        writer.write_eof()
        return answers + await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("rubbish", [b"\0\0\0\r\n\r\n", b"POST\r\n\r\n", get("/v2", "A : b"), post(b"{")])
async def test_rubbish_behind_good_requests_is_refused_and_spoils_none_of_them(server: Server, rubbish: bytes) -> None:
    answers = await said_and_closed(server.port, post(JSON), post(JSON), rubbish)
    assert (answers.count(b"200 OK"), answers.count(b"400 Bad Request")) == (2, 1)
    assert (await answer(server.port, post(JSON)))[0] == 200


@pytest.mark.parametrize("data", [post(JSON), post(JSON) * 3, get("/v2"), get("/v2") * 2])
async def test_a_client_that_sends_no_more_still_gets_its_answers(server: Server, data: bytes) -> None:
    """As `nc -N` and `socat` do it: half of the connection is closed, the answers are wanted all the same."""
    answers = await said_and_closed(server.port, data)
    assert answers.count(b"HTTP/1.1 ") == data.count(b"HTTP/1.1\r\n")


IN_CHUNKS = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT = {
    "of a length": post(JSON)[:-10],
    "in a chunk": IN_CHUNKS + b"64\r\nabc",
    "between chunks": IN_CHUNKS + b"3\r\nabc\r\n",
    "behind others": post(JSON) + get("/v2") + post(JSON)[:-10],
    "that is not read": post(JSON)[:-10].replace(b"/infer", b"/nothing"),
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT.keys())
async def test_a_body_that_is_cut_short_is_answered_where_the_client_still_listens(
    server: Server, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    answers = await said_and_closed(server.port, data)
    assert answers.count(b"HTTP/1.1 ") == data.count(b"HTTP/1.1\r\n")
    body = answers.rpartition(b"\r\n\r\n")[2]
    words = "there is nothing at" if b"/nothing" in data else "the body is not as its"
    assert words in orjson.loads(body)["error"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def coded(*codings: str) -> bytes:
    """Return a good request in chunks that says it was coded so before."""
    lines = "".join(f"Transfer-Encoding: {coding}\r\n" for coding in codings)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)
    return f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + chunks


@pytest.mark.parametrize(
    ("codings", "status"),
    [
        (("chunked",), 200),
        (("Chunked",), 200),
        (("gzip, chunked",), 501),
        (("x-own,chunked",), 501),
        (("identity, chunked",), 501),
    ],
)
async def test_a_transfer_coding_that_is_not_spoken_is_501(server: Server, codings: Any, status: int) -> None:
    """RFC 9112, 6.1: chunked is taken apart, what was done to the body before it is not known here."""
    got, body = await answer(server.port, coded(*codings))
    assert (got, b"Transfer-Encoding" in body) == (status, status == 501)


async def test_who_takes_this_for_a_proxy_hears_what_was_asked_for(server: Server) -> None:
    answers = await said_and_closed(server.port, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")
    assert answers.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert orjson.loads(answers.partition(b"\r\n\r\n")[2])["error"].startswith("there is nothing at x:1;")


@pytest.mark.parametrize(
    "rubbish", [b"GARBAGE\r\n\r\n", b"GET /v2 HTTP/1.1\r\nbad header\r\n\r\n", b"GET / HTTP/7.5\r\n\r\n"]
)
async def test_a_malformed_request_is_answered_in_our_own_version(server: Server, rubbish: bytes) -> None:
    answers = await said_and_closed(server.port, rubbish)
    assert answers.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close" in answers
