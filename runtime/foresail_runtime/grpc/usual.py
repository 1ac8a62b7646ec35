"""The services that any gRPC server has, health and reflection: answered by grpcio's own code, called by ours.

What is no message of theirs would be a mistake of ours to grpcio, with a stack trace; here it is the caller's. And all
methods are looked up by name: for each that is registered besides, grpcio's asyncio server waits anew for a call of it
after each call of any other. The four of health and reflection took 2.6 us of each, a quarter of that wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from foresail_runtime.grpc import reflect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.message import Message

    from foresail_runtime.grpc.watching import Health

_HEALTH: Final = "grpc.health.v1.Health"
_REFLECTION: Final = (reflection.SERVICE_NAME, reflect.NEWER_REFLECTION)


def handlers(health: Health) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return what a server adds to answer them."""
    asked, told = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse.SerializeToString
    of_health = {
        "Check": grpc.unary_unary_rpc_method_handler(_one(asked, health.Check), None, told),
        "List": grpc.unary_unary_rpc_method_handler(health.List),
        "Watch": grpc.unary_stream_rpc_method_handler(_one(asked, health.Watch), None, told),
    }
    reflector = reflection.aio.ReflectionServicer((reflect.SERVICE, _HEALTH, *_REFLECTION), pool=reflect.pool())
    of_reflection = grpc.stream_stream_rpc_method_handler(
        _many(reflection_pb2.ServerReflectionRequest, reflector.ServerReflectionInfo),
        None,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return (
        grpc.method_handlers_generic_handler(_HEALTH, of_health),
        *(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": of_reflection}) for name in _REFLECTION),
    )


def _one(kind: type[Message], answer: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[bytes, Any], Awaitable[Any]]:
    async def call(data: bytes, context: Any) -> Any:
        return await answer(await _parse(kind, data, context), context)

    return call


def _many(
    kind: type[Message], answer: Callable[[Any, Any], AsyncIterator[Any]]
) -> Callable[[AsyncIterator[bytes], Any], AsyncIterator[Any]]:
    async def call(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        parsed = (await _parse(kind, data, context) async for data in requests)
        async for told in answer(parsed, context):
            yield told

    return call


async def _parse(kind: type[Message], data: bytes, context: Any) -> Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        words = f"the message is no {kind.DESCRIPTOR.name} of the protocol: {error}"
    return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, words)  # type: ignore[no-any-return]  # it raises
