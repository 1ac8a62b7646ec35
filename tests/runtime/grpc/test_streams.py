"""Streams when the server ends: what was read is answered, and the client sees a good end, not a lost connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from foresail_runtime.grpc import server
from tests.runtime.timing import until

if TYPE_CHECKING:
    from tests.runtime.grpc.conftest import Bench

GRACE_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
TRIES = 3


@pytest.mark.parametrize("queue_count", [100])
async def test_a_stop_answers_what_was_read_and_ends_the_stream_well(bench: Bench, make_request: Any) -> None:
    await stop_amid_a_stream(bench, make_request, None)


@pytest.mark.parametrize("queue_count", [100])
async def test_a_stop_ends_a_stream_well_whose_connection_was_to_go_anyway(bench: Bench, make_request: Any) -> None:
    for _ in range(TRIES):
        try:
            return await stop_amid_a_stream(bench, make_request, age_seconds=0.1)
        except grpc.aio.AioRpcError as error:
            # The core closes such a connection with its last call. What the client sends just then, if only to say that
            # it has read, is answered by a reset, which now and then overtakes the answers.
            if "Connection reset by peer" not in str(error.details()):
                raise
    pytest.fail(f"each of {TRIES} streams met a reset")


async def stop_amid_a_stream(bench: Bench, make_request: Any, age_seconds: float | None) -> None:
    limits = server.Limits(max_connection_age_seconds=age_seconds)
    other = server.GrpcServer(bench.door, "127.0.0.1", 0, 1_000_000, limits=limits)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await other.start()}") as channel:
        bench.engine.go.clear()
        call = bench.call("ModelStreamInfer", channel)()
        for number in range(50):
            await call.write(make_request(id=str(number)))
        await until(lambda: bench.door.in_flight == 32)
        stop = asyncio.create_task(other.stop(GRACE_SECONDS))
        await until(lambda: not other._service._streams._readers)
        bench.engine.go.set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answers = [answer.infer_response.id async for answer in call]
                assert answers == [str(number) for number in range(32)]
                assert await call.code() is grpc.StatusCode.OK
        finally:
            await asyncio.wait_for(stop, PATIENCE_SECONDS)


async def test_a_stream_that_sends_on_does_not_hold_a_stop(bench: Bench, make_request: Any) -> None:
    other = server.GrpcServer(bench.door, "127.0.0.1", 0, 1_000_000)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await other.start()}") as channel:
        call = bench.call("ModelStreamInfer", channel)()
        answered = 0
        stop: asyncio.Task[None] | None = None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:  # in turns: grpcio's client says INTERNAL of a good end that meets a write
                await call.write(make_request(id=str(answered)))
                answer = await call.read()
                if answer is grpc.aio.EOF:
                    break
                assert answer.infer_response.id == str(answered)
                answered += 1
                if answered == 20:
                    stop = asyncio.create_task(other.stop(GRACE_SECONDS))
            assert answered >= 20
            assert stop is not None
            await stop


async def test_a_stream_that_opens_while_the_server_ends_is_ended_well(bench: Bench, make_request: Any) -> None:
    bench.server._service.end_streams()
    call = bench.call("ModelStreamInfer")()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK
    assert (await bench.call("ModelInfer")(make_request(id="1"))).id == "1"


async def test_whoever_watches_the_health_hears_of_the_end_and_does_not_hold_it(bench: Bench) -> None:
    other = server.GrpcServer(bench.door, "127.0.0.1", 0, 1_000_000)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await other.start()}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await other.stop(GRACE_SECONDS)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
