"""TLS and tokens over gRPC, with grpcio's own client."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from foresail_runtime import auth, health, metrics, serving, tls
from foresail_runtime.grpc import credentials, oip_pb2, server
from tests.runtime.authorities import Authority

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

LIVE = "/inference.GRPCInferenceService/ServerLive"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
PATIENCE = 10.0


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    return made


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Any]]:
    """Start servers: `port = await listen(credentials=…, interceptors=…)`."""
    async with contextlib.AsyncExitStack() as stack:
        executor = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))

        async def start(**options: Any) -> tuple[int, metrics.Metrics]:
            counts = metrics.Metrics()
            door = serving.Serving(health.Health(), counts, executor)
            made = server.GrpcServer(door, "127.0.0.1", 0, 1_000_000, **options)
            port = await made.start()
            stack.push_async_callback(made.stop, 0)
            return port, counts

        yield start


def channel(port: int, root: bytes, *chain: bytes) -> grpc.aio.Channel:
    key, cert = chain or (None, None)
    # A session of its own each: a resumed one would not look at the certificate again.
    return grpc.aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(root, key, cert))


async def live(opened: grpc.aio.Channel, *metadata: tuple[str, str]) -> bool:
    call = opened.unary_unary(LIVE, oip_pb2.ServerLiveRequest.SerializeToString, oip_pb2.ServerLiveResponse.FromString)
    answer = await call(oip_pb2.ServerLiveRequest(), timeout=PATIENCE, metadata=metadata or None)
    return bool(answer.live)


async def test_calls_are_answered_over_tls_and_a_rotated_certificate_is_served(
    listen: Callable[..., Any], authority: Authority, tmp_path: pathlib.Path
) -> None:
    identity = tls.Identity(str(authority.cert), str(authority.key))
    port, _ = await listen(credentials=credentials.follow(identity))
    async with channel(port, authority.root.read_bytes()) as old:
        assert await live(old)
        newer = Authority(tmp_path)  # nobody who trusts the old authority believes this one
        newer.issue()
        identity.refresh()
        async with channel(port, newer.root.read_bytes()) as new:
            assert await live(new)
        assert await live(old), "a connection that was there goes on"


async def test_a_caller_without_a_certificate_is_refused_where_one_is_asked_for(
    listen: Callable[..., Any], authority: Authority
) -> None:
    identity = tls.Identity(str(authority.cert), str(authority.key), str(authority.root))
    port, _ = await listen(credentials=credentials.follow(identity))
    client = authority.ca.issue_cert("client.example")
    chain = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes())
    async with channel(port, authority.root.read_bytes(), *chain) as friend:
        assert await live(friend)
    async with channel(port, authority.root.read_bytes()) as stranger:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await live(stranger)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_authorities_of_callers_are_rotated_with_the_file(
    listen: Callable[..., Any], authority: Authority, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "callers").mkdir()
    newer = Authority(tmp_path / "callers")
    trusted = tmp_path / "callers.crt"
    trusted.write_bytes(authority.ca.cert_pem.bytes())
    identity = tls.Identity(str(authority.cert), str(authority.key), str(trusted))
    port, _ = await listen(credentials=credentials.follow(identity))
    made = [one.ca.issue_cert("client.example") for one in (authority, newer)]
    chains = [(one.private_key_pem.bytes(), one.cert_chain_pems[0].bytes()) for one in made]

    async def answered() -> list[bool]:
        found = []
        for chain in chains:
            async with channel(port, authority.root.read_bytes(), *chain) as opened:
                try:
                    found.append(await live(opened))
                except grpc.aio.AioRpcError:
                    found.append(False)
        return found

    assert await answered() == [True, False]
    trusted.write_bytes(newer.ca.cert_pem.bytes())
    identity.refresh()
    assert await answered() == [False, True]


@pytest.fixture
def guard(tmp_path: pathlib.Path) -> auth.Guard:
    (tmp_path / "token").write_text("first\nsecond\n")
    return auth.Guard(str(tmp_path / "token"), certificates=False)


async def test_a_call_without_a_token_of_ours_is_unauthenticated(listen: Callable[..., Any], guard: auth.Guard) -> None:
    counts: Any = metrics.Metrics().rejected
    port, _ = await listen(interceptors=(credentials.Doorkeeper(guard, counts),))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        assert await live(opened, ("authorization", "Bearer second"))
        for metadata in ((), (("authorization", "Bearer third"),), (("authorization", "Basic first"),)):
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await live(opened, *metadata)
            assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "www-authenticate" in dict(failure.value.trailing_metadata())
    assert counts == {"unauthorized": 3}


async def test_a_stream_without_a_token_is_unauthenticated(listen: Callable[..., Any], guard: auth.Guard) -> None:
    port, counts = await listen()
    port, _ = await listen(interceptors=(credentials.Doorkeeper(guard, counts.rejected),))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        call = opened.stream_stream(STREAM)(timeout=PATIENCE)  # writes nothing: a write into a refused call is INTERNAL
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_health_service_needs_no_token(listen: Callable[..., Any], guard: auth.Guard) -> None:
    port, _ = await listen(interceptors=(credentials.Doorkeeper(guard, metrics.Metrics().rejected),))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        check = health_pb2_grpc.HealthStub(opened).Check
        answer = await asyncio.wait_for(check(health_pb2.HealthCheckRequest()), PATIENCE)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
