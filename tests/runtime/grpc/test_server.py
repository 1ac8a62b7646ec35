"""The server over a real connection: what is answered, what is refused, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from foresail_runtime import errors, health
from foresail_runtime.codec import extensions
from foresail_runtime.grpc import oip_pb2, reflect, server, service
from tests.runtime.timing import until

Code = grpc.StatusCode
MAX_MESSAGE_BYTES = 1_000_000


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_the_server_and_its_model_say_that_they_are_there(bench: Any) -> None:
    assert (await bench.call("ServerLive")(oip_pb2.ServerLiveRequest())).live
    assert (await bench.call("ServerReady")(oip_pb2.ServerReadyRequest())).ready
    ready = bench.call("ModelReady")
    assert (await ready(oip_pb2.ModelReadyRequest(name="echo"))).ready
    assert (await ready(oip_pb2.ModelReadyRequest(name="echo", version="1"))).ready
    assert not (await ready(oip_pb2.ModelReadyRequest(name="echo", version="2"))).ready
    assert not (await ready(oip_pb2.ModelReadyRequest(name="nobody"))).ready


async def test_a_server_that_drains_is_live_and_not_ready(bench: Any) -> None:
    bench.door.health.move(health.State.DRAINING)
    assert (await bench.call("ServerLive")(oip_pb2.ServerLiveRequest())).live
    assert not (await bench.call("ServerReady")(oip_pb2.ServerReadyRequest())).ready
    assert not (await bench.call("ModelReady")(oip_pb2.ModelReadyRequest(name="echo"))).ready


async def test_metadata_configuration_and_index_tell_what_the_model_takes(bench: Any) -> None:
    about = await bench.call("ServerMetadata")(oip_pb2.ServerMetadataRequest())
    assert about.name == "foresail"
    assert list(about.extensions) == list(extensions.NAMES)
    model = await bench.call("ModelMetadata")(oip_pb2.ModelMetadataRequest(name="echo"))
    assert (model.name, list(model.versions), model.platform) == ("echo", ["1"], "onnx_onnxv1")
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in model.inputs] == [
        ("x", "FP32", [-1, 2]),
        ("s", "BYTES", [-1]),
    ]
    assert dict(model.properties) == {"task": "tensors"}
    config = (await bench.call("ModelConfig")(oip_pb2.ModelConfigRequest(name="echo"))).config
    assert config.max_batch_size == 8
    assert [(spec.name, spec.data_type, list(spec.dims)) for spec in config.input] == [
        ("x", oip_pb2.TYPE_FP32, [2]),
        ("s", oip_pb2.TYPE_STRING, []),
    ]
    index = await bench.call("RepositoryIndex")(oip_pb2.RepositoryIndexRequest())
    assert [(entry.name, entry.version, entry.state) for entry in index.models] == [("echo", "1", "READY")]


@pytest.mark.parametrize("name", ["ModelMetadata", "ModelConfig", "ModelStatistics"])
async def test_a_model_that_nobody_knows_is_not_found(bench: Any, name: str) -> None:
    message = getattr(oip_pb2, f"{name}Request")(name="nobody")
    code, details = await refused(bench.call(name)(message))
    assert code is Code.NOT_FOUND
    assert "this server has 'echo'" in details


async def test_a_typed_request_is_answered_typed(bench: Any, make_request: Any) -> None:
    answer = await bench.call("ModelInfer")(make_request(id="7"))
    assert (answer.model_name, answer.model_version, answer.id) == ("echo", "1", "7")
    assert list(answer.outputs[0].contents.fp32_contents) == [1.5, -2.0]
    assert list(answer.outputs[1].contents.bytes_contents) == [b"\xff\x00a"]
    assert not answer.raw_output_contents


async def test_a_raw_request_is_answered_raw(bench: Any) -> None:
    raw = [bytes(range(8)), b"\3\0\0\0abc"]
    message = oip_pb2.ModelInferRequest(model_name="echo", model_version="1", raw_input_contents=raw)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    message.inputs.add(name="s", datatype="BYTES", shape=[1])
    answer = await bench.call("ModelInfer")(message)
    assert list(answer.raw_output_contents) == raw
    assert not answer.outputs[0].HasField("contents")


async def test_wanted_outputs_come_alone_and_in_their_order(bench: Any, make_request: Any) -> None:
    message = make_request()
    message.outputs.add(name="s")
    answer = await bench.call("ModelInfer")(message)
    assert [output.name for output in answer.outputs] == ["s"]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"model_name": "nobody"}, Code.NOT_FOUND, "there is no model 'nobody'"),
        ({"model_version": "2"}, Code.NOT_FOUND, "has no version '2'"),
        ({"raw_input_contents": [b"1"]}, Code.INVALID_ARGUMENT, "1 entries for 2 inputs"),
    ],
)
async def test_a_request_that_can_not_be_answered_is_refused_with_words(
    bench: Any, make_request: Any, fields: dict[str, Any], code: grpc.StatusCode, words: str
) -> None:
    message = make_request()
    message.MergeFrom(oip_pb2.ModelInferRequest(**fields))
    got, details = await refused(bench.call("ModelInfer")(message))
    assert (got, words in details) == (code, True)
    assert sum(bench.door.metrics.rejected.values()) == 1


async def test_a_model_that_is_not_loaded_yet_is_unavailable_and_says_when_to_come_again(
    bench: Any, make_request: Any
) -> None:
    bench.door.expect("later")
    message = make_request()
    message.model_name = "later"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bench.call("ModelInfer")(message)
    assert caught.value.code() is Code.UNAVAILABLE
    assert ("grpc-retry-pushback-ms", "1000") in list(caught.value.trailing_metadata() or ())


async def test_a_full_queue_refuses_at_once_while_work_goes_on(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelInfer")
    waiting = [call(make_request(id="0"))]
    await until(lambda: bench.model.batcher.busy)
    waiting += [call(make_request(id=str(number))) for number in (1, 2)]
    await until(lambda: bench.model.batcher.queued == 2)
    code, details = await refused(call(make_request()))
    assert code is Code.RESOURCE_EXHAUSTED
    assert "requests wait already" in details
    load = bench.door.load(latency=True)
    assert (load.requests, load.refused, sum(load.latency)) == (1, 1, 0)
    bench.engine.go.set()
    answers = await asyncio.gather(*waiting)
    assert [answer.id for answer in answers] == ["0", "1", "2"]


async def test_a_caller_s_deadline_takes_the_request_off_the_queue(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelInfer")
    first = call(make_request())
    await until(lambda: bench.model.batcher.busy)
    code, _ = await refused(call(make_request(), timeout=0.05))
    assert code is Code.DEADLINE_EXCEEDED
    await until(lambda: bench.model.batcher.queued == 0)
    bench.engine.go.set()
    await first
    assert bench.engine.runs == 1


async def test_the_timeout_parameter_is_a_deadline(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelInfer")
    first = call(make_request())
    await until(lambda: bench.model.batcher.busy)
    parameters = {"timeout": oip_pb2.InferParameter(int64_param=30_000)}
    code, details = await refused(call(make_request(parameters=parameters)))
    assert code is Code.DEADLINE_EXCEEDED
    assert "deadline passed" in details
    bench.engine.go.set()
    await first


async def test_a_caller_who_hangs_up_leaves_the_queue(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelInfer")
    first = call(make_request())
    await until(lambda: bench.model.batcher.busy)
    second = call(make_request())
    await until(lambda: bench.model.batcher.queued == 1)
    second.cancel()
    await until(lambda: bench.model.batcher.queued == 0)
    bench.engine.go.set()
    await first
    assert bench.engine.runs == 1
    await until(lambda: bench.door.in_flight == 0)
    assert bench.model.metrics.outcomes["grpc", 499] == 1


async def test_a_mistake_of_ours_is_internal_with_a_number_that_the_log_has(
    bench: Any, make_request: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.engine.failure = ZeroDivisionError("our mistake")
    code, details = await refused(bench.call("ModelInfer")(make_request()))
    assert code is Code.INTERNAL
    assert "our mistake" not in details
    number = details.split()[2].rstrip(":")
    assert any(number in record.getMessage() and record.exc_info for record in caplog.records)


async def test_a_model_that_fails_is_the_model_s_failure_in_its_own_words(bench: Any, make_request: Any) -> None:
    bench.engine.failure = errors.ModelFailed("x" * 5000)
    code, details = await refused(bench.call("ModelInfer")(make_request()))
    assert (code, details) == (Code.INTERNAL, "x" * 1000)


async def test_bytes_of_calls_and_streams_are_counted(bench: Any, make_request: Any) -> None:
    bench.engine.go.set()
    message = make_request()
    answer = await bench.call("ModelInfer")(message)
    counts = bench.door.metrics
    assert (counts.received_bytes, counts.sent_bytes) == (message.ByteSize(), answer.ByteSize())
    stream = bench.call("ModelStreamInfer")(iter([message]))
    (found,) = [one async for one in stream]
    assert (counts.received_bytes, counts.sent_bytes) == (
        2 * message.ByteSize(),
        answer.ByteSize() + found.ByteSize(),
    )


@pytest.mark.parametrize("queue_count", [100])
async def test_a_stream_answers_in_order_and_a_bad_request_does_not_end_it(bench: Any, make_request: Any) -> None:
    async def requests() -> Any:
        for number in range(100):
            message = make_request(id=str(number))
            if number == 40:
                message.model_name = "nobody"
            yield message

    answers = [answer async for answer in bench.call("ModelStreamInfer")(requests())]
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(100)]
    assert [index for index, answer in enumerate(answers) if answer.error_message] == [40]
    assert "there is no model 'nobody'" in answers[40].error_message


async def test_a_full_queue_is_said_in_the_stream_and_the_rest_is_answered(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelStreamInfer")()
    for number in range(4):
        await call.write(make_request(id=str(number)))
    await call.done_writing()
    await until(lambda: bench.door.metrics.rejected["queue_full"] >= 1)
    bench.engine.go.set()
    answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2", "3"]
    assert answers[0].error_message == ""
    assert "requests wait already" in answers[3].error_message


async def test_a_stream_that_is_cancelled_leaves_nothing_behind(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelStreamInfer")()
    await call.write(make_request())
    await until(lambda: bench.door.in_flight == 1)
    call.cancel()
    await until(lambda: bench.door.in_flight == 0)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_taken(bench: Any, make_request: Any, compression: grpc.Compression) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bench.port}", compression=compression) as channel:
        answer = await bench.call("ModelInfer", channel)(make_request(rows=50))
    assert list(answer.outputs[0].shape) == [50, 2]


async def test_a_message_over_the_limit_is_refused(bench: Any, make_request: Any) -> None:
    code, details = await refused(bench.call("ModelInfer")(make_request(rows=300_000)))
    assert code is Code.RESOURCE_EXHAUSTED
    assert "larger than max" in details


async def test_the_limit_counts_bytes_after_decompression(bench: Any) -> None:
    message = oip_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[bytes(50_000_000)])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bench.port}", compression=grpc.Compression.Gzip) as channel:
        code, _ = await refused(bench.call("ModelInfer", channel)(message))
    assert code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x02\xff\xfe", b"\x0a\x05ab"])
async def test_bytes_that_are_no_message_are_the_caller_s_mistake(bench: Any, data: bytes) -> None:
    code, details = await refused(bench.channel.unary_unary(f"/{reflect.SERVICE}/ModelInfer")(data))
    assert code is Code.INVALID_ARGUMENT
    assert "the message is no ModelInferRequest" in details
    assert bench.door.metrics.rejected["invalid"] == 1


async def test_bytes_that_are_no_message_do_not_end_a_stream(bench: Any, make_request: Any) -> None:
    async def requests() -> Any:
        yield b"\xff"
        yield make_request(id="good").SerializeToString()

    call = bench.channel.stream_stream(
        f"/{reflect.SERVICE}/ModelStreamInfer", response_deserializer=oip_pb2.ModelStreamInferResponse.FromString
    )
    bad, good = [answer async for answer in call(requests())]
    assert "the message is no ModelInferRequest" in bad.error_message
    assert (good.error_message, good.infer_response.id) == ("", "good")


async def test_statistics_count_good_and_bad_requests(bench: Any, make_request: Any) -> None:
    call = bench.call("ModelInfer")
    await call(make_request(rows=3))
    await refused(call(make_request(raw_input_contents=[b"1"])))
    (counts,) = (await bench.call("ModelStatistics")(oip_pb2.ModelStatisticsRequest(name="echo"))).model_stats
    assert (counts.inference_count, counts.execution_count) == (3, 1)
    assert (counts.inference_stats.success.count, counts.inference_stats.fail.count) == (1, 1)
    everything = await bench.call("ModelStatistics")(oip_pb2.ModelStatisticsRequest())
    assert [entry.name for entry in everything.model_stats] == ["echo"]


async def test_a_call_that_is_not_offered_is_unimplemented(bench: Any) -> None:
    call = bench.channel.unary_unary(f"/{reflect.SERVICE}/CudaSharedMemoryStatus")
    assert (await refused(call(b"")))[0] is Code.UNIMPLEMENTED


async def test_a_list_of_services_is_told_not_to_be_offered(bench: Any) -> None:
    stub = health_pb2_grpc.HealthStub(bench.channel)
    code, details = await refused(stub.List(health_pb2.HealthListRequest()))
    assert (code, "Check or Watch" in details) == (Code.UNIMPLEMENTED, True)


async def test_a_caller_whom_no_answer_reaches_is_no_mistake_of_ours(
    bench: Any, make_request: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang_up(_requests: Any) -> Any:
        raise grpc.aio.InternalError('Failed "ExecuteBatch"')

    assert service._is_gone(ExceptionGroup("stream", [grpc.aio.InternalError("a"), grpc.aio.InternalError("b")]))
    assert not service._is_gone(ExceptionGroup("stream", [grpc.aio.InternalError("a"), ValueError("b")]))
    with pytest.raises(asyncio.CancelledError):
        await bench.server._service._guarded(hang_up)(None, None)
    assert bench.door.metrics.rejected["internal"] == 0
    for error in (grpc.aio.InternalError("gone"), ValueError("ours")):
        logging.getLogger("grpc._cython.cygrpc").error("raised", exc_info=error)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["ours"]


async def test_health_follows_the_server_and_tells_those_who_watch(bench: Any) -> None:
    stub = health_pb2_grpc.HealthStub(bench.channel)
    status = health_pb2.HealthCheckResponse
    for name in ("", reflect.SERVICE):
        assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == status.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == status.SERVING
    bench.server.set_serving(False)
    assert (await watch.read()).status == status.NOT_SERVING
    watch.cancel()


@pytest.mark.parametrize("package", ["grpc.reflection.v1", "grpc.reflection.v1alpha"])
async def test_reflection_tells_the_public_names(bench: Any, package: str) -> None:
    reflected = bench.channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=reflect.SERVICE),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{package}.ServerReflection"),
    ]
    listed, *files = [answer async for answer in reflected(iter(asked))]
    assert [service.name for service in listed.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    ]
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        for data in file.file_descriptor_response.file_descriptor_proto:
            pool.AddSerializedFile(data)
    assert pool.FindServiceByName(f"{package}.ServerReflection")
    method = pool.FindServiceByName(reflect.SERVICE).methods_by_name["ModelInfer"]
    assert method.input_type.full_name == "inference.ModelInferRequest"
    assert method.input_type.fields_by_name["raw_input_contents"].number == 7


@pytest.mark.parametrize(
    "method",
    [
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_rubbish_for_the_usual_services_is_the_callers_mistake(bench: Any, caplog: Any, method: str) -> None:
    code, words = await refused(bench.channel.unary_unary(f"/{method}")(b"\xff"))
    assert code is Code.INVALID_ARGUMENT
    assert words.startswith("the message is no ")
    assert not caplog.records


def test_a_client_s_own_modules_can_be_loaded_beside_ours() -> None:
    theirs = reflect.public(oip_pb2.DESCRIPTOR)
    theirs.name = "grpc_service.proto"
    descriptor_pool.Default().Add(theirs)
    assert descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
    assert oip_pb2.ModelInferRequest.DESCRIPTOR.full_name == "foresail.inference.v2.ModelInferRequest"


async def test_a_stop_ends_what_is_in_flight_and_takes_nothing_more(bench: Any, make_request: Any) -> None:
    bench.engine.go.clear()
    call = bench.call("ModelInfer")
    first = call(make_request(id="last"))
    await until(lambda: bench.model.batcher.busy)
    stop = asyncio.create_task(bench.server.stop(60))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bench.port}") as late:
        code, _ = await refused(bench.call("ModelInfer", late)(make_request(), timeout=1))
    assert code in (Code.UNAVAILABLE, Code.CANCELLED, Code.DEADLINE_EXCEEDED)
    bench.engine.go.set()
    assert (await first).id == "last"
    await stop


class Endpoint:
    """A port that leads to a server until it is taken away; connections that are open then stay, as with a Service."""

    def __init__(self, target: int) -> None:
        self._target = target

    async def open(self) -> int:
        self._listener = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        return int(self._listener.sockets[0].getsockname()[1])

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def take_away(self) -> None:
        self._listener.close()


async def test_callers_lose_nothing_when_one_of_two_servers_stops(bench: Any, make_request: Any) -> None:
    limits = server.Limits(max_connection_age_seconds=0.3)
    servers = [server.GrpcServer(bench.door, "127.0.0.1", 0, MAX_MESSAGE_BYTES, limits=limits) for _ in range(2)]
    endpoints = [Endpoint(await each.start()) for each in servers]
    address = "ipv4:" + ",".join([f"127.0.0.1:{await each.open()}" for each in endpoints])
    stopped = asyncio.Event()
    async with grpc.aio.insecure_channel(address, options=[("grpc.lb_policy_name", "round_robin")]) as channel:
        call = bench.call("ModelInfer", channel)

        async def go_on() -> int:
            count = 0
            while not stopped.is_set():
                assert (await call(make_request(id=str(count)))).id == str(count)
                count += 1
            return count

        async with asyncio.timeout(30), asyncio.TaskGroup() as callers:
            counts = [callers.create_task(go_on()) for _ in range(2)]
            await until(lambda: bench.model.metrics.outcomes["grpc", 200] > 50)
            endpoints[1].take_away()
            await servers[1].stop(10)
            stopped.set()
    assert sum(task.result() for task in counts) == bench.model.metrics.outcomes["grpc", 200]
    endpoints[0].take_away()
    await servers[0].stop(5)


async def test_a_server_without_connections_stops_at_once(bench: Any) -> None:
    limits = server.Limits(max_connection_age_seconds=60)
    other = server.GrpcServer(bench.door, "127.0.0.1", 0, MAX_MESSAGE_BYTES, limits=limits)
    await other.start()
    async with asyncio.timeout(5):
        await other.stop(30)


async def test_connections_that_stay_do_not_hold_a_stop_beyond_its_grace(bench: Any) -> None:
    limits = server.Limits(max_connection_age_seconds=60)
    other = server.GrpcServer(bench.door, "127.0.0.1", 0, MAX_MESSAGE_BYTES, limits=limits)
    port = await other.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(5):
        await bench.call("ServerLive", channel)(oip_pb2.ServerLiveRequest())
        await other.stop(0.2)


async def test_a_connection_is_ended_politely_when_it_is_old(bench: Any, make_request: Any) -> None:
    """A call that is under way when the age is reached ends well, and the next one gets a connection of its own."""
    limits = server.Limits(max_connection_age_seconds=0.1, max_connection_age_grace_seconds=5)
    second = server.GrpcServer(bench.door, "127.0.0.1", 0, MAX_MESSAGE_BYTES, limits=limits)
    port = await second.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
        call = bench.call("ModelInfer", channel)
        bench.engine.go.clear()
        slow = call(make_request(id="slow"))
        await channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
        await channel.wait_for_state_change(grpc.ChannelConnectivity.CONNECTING)
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        bench.engine.go.set()
        assert (await slow).id == "slow"
        assert (await call(make_request(id="next"))).id == "next"
    await second.stop(5)


async def test_a_port_in_use_is_said_in_words(bench: Any) -> None:
    second = server.GrpcServer(bench.door, "127.0.0.1", bench.port, MAX_MESSAGE_BYTES)
    with pytest.raises(OSError, match="choose another with --grpc-port"):
        await second.start()
