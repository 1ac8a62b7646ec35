"""The access log of gRPC: an interceptor that is there only when there is something to write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc

from foresail_runtime.grpc import reflect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from foresail_runtime.access import AccessLog

_OURS = f"/{reflect.SERVICE}/"


class Recorder(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Writes down each call of the inference service once it is answered."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
        """Return the call's handler with the log around it."""
        handler = await continuation(call)
        if handler is None or not call.method.startswith(_OURS):
            return handler
        streams = handler.response_streaming  # all have their requests as streams
        answer = handler.stream_stream if streams else handler.stream_unary
        headers = {key: value for key, value in call.invocation_metadata if isinstance(value, str)}

        async def recorded(requests: Any, context: Any) -> Any:
            start = time.monotonic()
            status = grpc.StatusCode.CANCELLED  # unless it ends in one of the other ways
            try:
                response = await answer(requests, context)
                status = grpc.StatusCode.OK
            except grpc.aio.AbortError:
                status = _status(context)
                raise
            else:
                return response
            finally:
                self._log.write(
                    "gRPC",
                    call.method,
                    status.name,
                    seconds=time.monotonic() - start,
                    size=None,
                    client=context.peer(),
                    headers=headers,
                )

        made = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
        return made(recorded, handler.request_deserializer, handler.response_serializer)


def _status(context: Any) -> grpc.StatusCode:
    """Return the status that a call was aborted with: a member of the enum, or its number."""
    code = context.code()
    return next((member for member in grpc.StatusCode if code in (member, member.value[0])), grpc.StatusCode.UNKNOWN)
