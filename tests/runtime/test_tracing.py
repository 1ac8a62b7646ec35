"""Trace context in the access log, and spans at a real receiver of OTLP over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from foresail_runtime import tracing
from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

    Start = Callable[..., Any]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
BODY = {"inputs": [{"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}]}
LONG_WAY = {"Origin": "https://page.test"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", tracing.Parent(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-00", tracing.Parent(TRACE, SPAN, sampled=False)),
        (f"01-{TRACE}-{SPAN}-01-more", tracing.Parent(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        ("", None),
        (None, None),
    ],
)
def test_a_trace_context_is_read_as_w3c_has_it(header: str | None, expected: tracing.Parent | None) -> None:
    assert tracing.parse(header) == expected


class Receiver:
    """Takes what the exporter sends."""

    def __init__(self) -> None:
        self.address = ""
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        message = trace_service_pb2.ExportTraceServiceRequest.FromString(await request.read())
        for group in message.resource_spans:
            self.resources.append({pair.key: pair.value.string_value for pair in group.resource.attributes})
            self.spans += [span for scope in group.scope_spans for span in scope.spans]
        return web.Response(body=trace_service_pb2.ExportTraceServiceResponse().SerializeToString())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    served = web.Application()
    served.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(served)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.address = site.name if not site.name.endswith(":0") else f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def attributes(span: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


async def test_each_request_is_a_span_of_its_callers_trace(serve: Start, mlp: pathlib.Path, receiver: Receiver) -> None:
    server = await serve(mlp, traces_endpoint=receiver.address)
    answers = []
    for headers in (PARENT, PARENT | LONG_WAY, {}):
        status, _, response = await server.call("POST", "/v2/models/m/infer", json=BODY, headers=headers)
        assert status == 200
        answers.append(response.headers["traceresponse"].split("-"))
    assert (await server.call("GET", "/v2/models/nobody", headers=PARENT))[0] == 404
    server.app.stop()
    assert await asyncio.wait_for(server.task, 20) == 0
    short, long, own, missing = receiver.spans
    for span in (short, long, missing):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert own.trace_id.hex() == answers[2][1] != TRACE
    assert [span.span_id.hex() for span in (short, long, own)] == [answer[2] for answer in answers]
    assert (
        attributes(short)
        == attributes(long)
        == {
            "http.request.method": "POST",
            "url.path": "/v2/models/m/infer",
            "http.response.status_code": 200,
        }
    )
    assert attributes(missing)["http.response.status_code"] == 404
    assert short.end_time_unix_nano > short.start_time_unix_nano > 0
    assert receiver.resources[0]["service.name"] == "foresail"


async def test_a_receiver_that_is_away_holds_nobody_up(serve: Start, mlp: pathlib.Path) -> None:
    server = await serve(mlp, traces_endpoint="http://127.0.0.1:9")
    assert (await server.infer(BODY))[0] == 200


async def test_grpc_calls_are_written_down_with_their_status_and_trace(
    serve: Start, mlp: pathlib.Path, access_lines: Callable[[Any], list[dict[str, Any]]]
) -> None:
    server = await serve(mlp, access_log=True, log_format="json", grpc_port=0)
    method = "/inference.GRPCInferenceService/ModelMetadata"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.app.grpc_port}") as channel:
        call = channel.unary_unary(method, oip_pb2.ModelMetadataRequest.SerializeToString)
        for name in ("m", "nobody"):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call(oip_pb2.ModelMetadataRequest(name=name), metadata=tuple(PARENT.items()), timeout=10)
    server.app.stop()  # a call's line is written just after its caller has the status
    assert await asyncio.wait_for(server.task, 20) == 0
    lines = access_lines(server)
    assert [(line["method"], line["path"], line["status"], line["trace_id"]) for line in lines] == [
        ("gRPC", method, "OK", TRACE),
        ("gRPC", method, "NOT_FOUND", TRACE),
    ]


async def test_the_access_log_names_the_callers_trace(
    serve: Start, mlp: pathlib.Path, access_lines: Callable[[Any], list[dict[str, Any]]]
) -> None:
    server = await serve(mlp, access_log=True, log_format="json")
    for headers in (PARENT, PARENT | LONG_WAY, {}):
        _, _, response = await server.call("POST", "/v2/models/m/infer", json=BODY, headers=headers)
        assert "traceresponse" not in response.headers, "no span was made, so there is none to tell of"
    lines = access_lines(server)
    assert [line["trace_id"] for line in lines] == [TRACE, TRACE, None]
