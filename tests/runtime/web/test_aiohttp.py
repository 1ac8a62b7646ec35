"""The short way stands on parts of aiohttp that its documentation does not promise: they are still there."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD

from foresail_runtime.web import parsed

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.runtime.conftest import Server

    Start = Callable[..., Any]

ADVICE = (
    "of aiohttp {version} {what}: web/server.py and web/express.py answer small requests by it, so they can't be used "
    "with this aiohttp as they are; keep the older one in pyproject.toml, or read its web_protocol.py and adapt both"
)
CONNECTION = (
    "_keepalive",
    "_keepalive_timeout",
    "_loop",
    "_messages",
    "_next_keepalive_close_time",
    "_parser",
    "_paused",
    "_process_keepalive",
    "_request_count",
    "_request_in_progress",
    "_waiter",
    "connection_lost",
    "data_received",
    "force_close",
    "handle_error",
    "peername",
    "transport",
)
MESSAGE = ("compression", "headers", "method", "path", "should_close", "upgrade", "version")
PAYLOAD = ("is_eof", "read_nowait", "total_bytes")


def advice(what: str) -> str:
    return ADVICE.format(version=aiohttp.__version__, what=what)


async def connection() -> web.RequestHandler:
    async def nobody(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    return web.Server(nobody)()


@pytest.mark.parametrize("name", CONNECTION)
async def test_a_connection_has_what_the_short_way_uses(name: str) -> None:
    assert hasattr(await connection(), name), advice(f"RequestHandler.{name} is gone")


async def test_the_parser_is_told_of_a_message_that_was_taken() -> None:
    parser: Any = (await connection())._parser
    assert hasattr(parser, "message_consumed"), advice("HttpRequestParser.message_consumed is gone")


@pytest.mark.parametrize("name", MESSAGE)
def test_a_message_has_what_the_short_way_reads(name: str) -> None:
    assert hasattr(RawRequestMessage, name), advice(f"RawRequestMessage.{name} is gone")


@pytest.mark.parametrize("name", PAYLOAD)
def test_a_body_has_what_the_short_way_reads(name: str) -> None:
    assert hasattr(EMPTY_PAYLOAD, name), advice(f"StreamReader.{name} is gone")


async def test_the_parser_keeps_what_is_whole_before_what_is_broken() -> None:
    parser: Any = (await connection())._parser
    with pytest.raises(BadHttpMessage):
        parser.feed_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n\r\n")
    found = [message.path for message, _ in parsed.take(parser)]
    assert found == ["/"], advice("what HttpParser has read before it raises is not found any more (web/parsed.py)")
    assert parsed.take(parser) == []


def test_a_server_makes_its_requests_by_a_factory_of_five() -> None:
    taken = inspect.signature(web.Server.__init__).parameters
    assert "request_factory" in taken, advice("web.Server takes no request_factory")


async def test_small_requests_do_take_the_short_way(serve: Start, mlp: pathlib.Path) -> None:
    server: Server = await serve(mlp)
    express = server.app._http._dispatcher.express
    begin, taken = express.begin, []

    def watched(*arguments: Any, **options: Any) -> Any:
        taken.append(arguments)
        return begin(*arguments, **options)

    express.begin = watched  # type: ignore[method-assign]  # the same, counted
    tensor = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [1.0] * 32}
    text = orjson.dumps({"inputs": [tensor]})
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for _ in range(3):
            writer.write(
                b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
            )
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
    finally:
        writer.close()
    assert len(taken) == 3, advice("a small request no longer arrives as the short way expects it")
