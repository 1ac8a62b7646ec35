"""Bounds on what callers can take: connections that say nothing, messages that never end, more than fits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from foresail_runtime import errors
from foresail_runtime.grpc import oip_pb2, server
from tests.runtime.timing import until

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

    from tests.runtime.grpc.conftest import Bench

    Limited = Callable[..., contextlib.AbstractAsyncContextManager[int]]

PATIENCE_SECONDS = 30.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS, ACK, DATA = 1, 3, 4, 1, 0
END_HEADERS, END_STREAM = 4, 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(name: str, value: str) -> bytes:
    """Return a header as HPACK spells out what it has no number for."""
    return b"\x00" + b"".join(bytes((len(text),)) + text.encode() for text in (name, value))


GREETING = PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)


def beginning(size: int) -> bytes:
    """Return the beginning of a ModelInfer call whose message has so many bytes, none of which is sent."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/inference.GRPCInferenceService/ModelInfer",
        ":authority": "x",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    opened = frame(HEADERS, END_HEADERS, 1, b"".join(literal(*pair) for pair in headers.items()))
    return GREETING + opened + frame(DATA, 0, 1, b"\x00" + size.to_bytes(4, "big"))


@pytest.fixture
async def limited(bench: Bench) -> Limited:
    @contextlib.asynccontextmanager
    async def serve(**limits: Any) -> AsyncIterator[int]:
        made = server.GrpcServer(bench.door, "127.0.0.1", 0, 1_000_000, limits=server.Limits(**limits))
        yield await made.start()
        await made.stop(PATIENCE_SECONDS)

    return serve


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (b"", {"handshake_seconds": 0.1}),
        (PREFACE, {"handshake_seconds": 0.1}),
        (PREFACE + frame(SETTINGS, 0, 0), {"handshake_seconds": 0.1}),
        (GREETING, {"idle_seconds": 0.1}),
    ],
    ids=["nothing", "half a greeting", "no answer to ours", "no call"],
)
async def test_a_connection_that_says_too_little_is_ended(limited: Limited, said: bytes, limits: Any) -> None:
    async with limited(**limits) as port, asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        while await reader.read(1000):
            pass
        writer.close()


async def test_a_server_s_settings_hold_for_grpc(serve: Any, mlp: pathlib.Path) -> None:
    chosen = {"header_timeout_seconds": 0.1, "body_timeout_seconds": 0.1, "keepalive_seconds": 60.0}
    app = (await serve(mlp, grpc_port=0, max_connections=2, max_held_bytes=1_000_000, **chosen)).app
    async with asyncio.timeout(PATIENCE_SECONDS):
        for said in (b"", beginning(900_000)):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.grpc_port)
            writer.write(said)
            if said:
                await reader.readuntil(b"grpc-status\x014")
            else:
                assert await reader.read() is not None
            writer.close()
    assert app.metrics.rejected["slow_client"] == 1


async def test_a_caller_that_was_idle_calls_again_as_if_nothing_had_been(
    bench: Bench, limited: Limited, make_request: Any
) -> None:
    async with limited(idle_seconds=0.1) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = bench.call("ModelInfer", channel)
        assert (await call(make_request(id="1"))).id == "1"
        async with asyncio.timeout(PATIENCE_SECONDS):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        assert (await call(make_request(id="2"))).id == "2"


async def test_a_message_that_never_ends_is_given_up(bench: Bench, limited: Limited, make_request: Any) -> None:
    async with limited(message_seconds=0.1, max_held_bytes=1_000_000) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning(900_000))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert (await bench.call("ModelInfer", channel)(make_request(id="next"))).id == "next"
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reader.readuntil(b"grpc-status\x014")  # DEADLINE_EXCEEDED
        assert bench.door.metrics.rejected["slow_client"] == 1
        writer.close()


async def test_a_client_that_hangs_up_in_its_message_makes_room(
    bench: Bench, limited: Limited, make_request: Any
) -> None:
    async with limited(max_held_bytes=1_000_000) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning(900_000))
        await writer.drain()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            waiting = asyncio.ensure_future(bench.call("ModelInfer", channel)(make_request(id="next")))
            await asyncio.sleep(0)
            writer.write(frame(RST_STREAM, 0, 1, (8).to_bytes(4, "big")))
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert (await waiting).id == "next"
        writer.close()
        await until(lambda: bench.door.in_flight == 0)


async def test_messages_that_fill_the_memory_for_them_are_refused_while_others_are_answered(
    bench: Bench, limited: Limited, make_request: Any
) -> None:
    async with limited(max_held_bytes=1_000_000) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = bench.call("ModelInfer", channel)
        bench.engine.go.clear()
        first = call(make_request(id="first", parameters={"pad": oip_pb2.InferParameter(string_param="x" * 600_000)}))
        await until(lambda: bench.model.batcher.busy)
        code, words = await refused(call(make_request(raw_input_contents=[bytes(600_000)])))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "try again" in words
        stream = bench.call("ModelStreamInfer", channel)()
        await stream.write(make_request(id="streamed", raw_input_contents=[bytes(600_000)]))
        answer = await stream.read()
        assert (answer.infer_response.id, "try again" in answer.error_message) == ("streamed", True)
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert bench.door.load().refused == 2
        bench.engine.go.set()
        assert (await first).id == "first"


@pytest.mark.parametrize("queue_count", [100])
async def test_a_stream_reads_one_at_a_time_where_room_is_short(
    bench: Bench, limited: Limited, make_request: Any
) -> None:
    pad = {"pad": oip_pb2.InferParameter(string_param="x" * 400_000)}
    async with limited(max_held_bytes=900_000) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

        async def requests() -> AsyncIterator[oip_pb2.ModelInferRequest]:
            for number in range(20):
                yield make_request(id=str(number), parameters=pad)

        answers = [answer async for answer in bench.call("ModelStreamInfer", channel)(requests())]
    assert [answer.error_message for answer in answers] == [""] * 20
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(20)]


async def test_no_more_calls_are_taken_than_may_be(bench: Bench, limited: Limited, make_request: Any) -> None:
    async with limited(max_connections=2) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = bench.call("ModelInfer", channel)
        bench.engine.go.clear()
        calls = [call(make_request(id=str(number))) for number in range(2)]
        await until(lambda: bench.door.in_flight == 2)
        assert (await refused(call(make_request())))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        bench.engine.go.set()
        assert [(await one).id for one in calls] == ["0", "1"]


async def test_no_more_connections_are_taken_than_may_be(bench: Bench, limited: Limited, make_request: Any) -> None:
    async with limited(max_connections=1) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = bench.call("ModelInfer", channel)
        assert (await call(make_request(id="1"))).id == "1"
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        assert (await call(make_request(id="2"))).id == "2"


async def test_a_failure_is_not_kept_once_it_is_answered(bench: Bench, make_request: Any) -> None:
    """With it would be kept the frames it passed, and the message in them, until the collector comes."""
    gc.collect()
    gc.disable()
    try:
        code, _ = await refused(bench.call("ModelInfer")(make_request(raw_input_contents=[b"1"])))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: not any(isinstance(found, errors.InvalidRequest) for found in gc.get_objects()))
    finally:
        gc.enable()
