"""TLS and tokens for gRPC: a certificate that follows its files, and an interceptor that refuses strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable

    from foresail_runtime.auth import Guard
    from foresail_runtime.tls import Identity, Material

_OPEN: Final = "/grpc.health.v1.Health/"
"""What kubelets' probes call."""


def follow(identity: Identity) -> grpc.ServerCredentials:
    """Return credentials that take the newest certificate for each connection.

    A caller without a certificate, where one is asked for, does not get past the handshake: unlike HTTP, whose
    probes have to.
    """
    served = identity.material

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Answer None where nothing changed; called at each handshake, on a thread of grpcio's."""
        nonlocal served
        newest = identity.material
        if newest is served:
            return None
        served = newest
        return _configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served), fetch, require_client_authentication=identity.asks_for_certificates
    )


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(((material.key, material.cert),), material.ca)


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Answers UNAUTHENTICATED to calls without a token that is ours."""

    def __init__(self, guard: Guard, refused: Counter[str]) -> None:
        """Take whom to ask, and where to count refusals by reason."""
        self._guard = guard
        self._refused = refused

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
        """Return the call's own handler, or one that refuses."""
        if call.method.startswith(_OPEN):
            return await continuation(call)
        given = next((value for key, value in call.invocation_metadata if key == "authorization"), None)
        try:
            self._guard.check(given, certified=True)  # the handshake has seen to it
        except errors.Unauthorized as failure:
            self._refused[failure.reason] += 1
            return _refusal(failure)
        return await continuation(call)


def _refusal(failure: errors.Unauthorized) -> grpc.RpcMethodHandler:
    trailers = () if failure.challenge is None else (("www-authenticate", failure.challenge),)

    async def refuse(_requests: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode[failure.grpc_code], failure.message, trailers)

    # On the wire all calls are streams: this refuses those of one message as well, without reading it.
    return grpc.stream_stream_rpc_method_handler(refuse)
