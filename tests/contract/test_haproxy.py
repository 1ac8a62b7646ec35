"""What the operator tells HAProxy, the real HAProxy takes, and does."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import pathlib
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest

from foresail_operator.api import v1alpha1
from foresail_operator.desired import haproxy
from foresail_operator.scaling import loads
from foresail_runtime import contract
from foresail_runtime.grpc import oip_pb2, server
from tests.contract import haproxies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.contract.haproxies import Stage

MODEL = pathlib.Path(__file__).parents[1] / "runtime/models/mlp.onnx"
BODY: dict[str, Any] = {"inputs": []}
PATIENCE = 60.0
H2_MAX_CONCURRENT_STREAMS = 0x3
"""Of RFC 9113's settings."""


def model(**spec: Any) -> v1alpha1.ModelDeployment:
    metadata = {"name": "fraud", "namespace": "team", "uid": "u"}
    return v1alpha1.parse(
        {"metadata": metadata, "spec": {"model": {"uri": "https://h/x"}, "loadBalancing": "request", **spec}}
    )


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"serving": {"auth": {"secretName": "tokens"}, "timeoutSeconds": 0.5, "batching": {"maxSize": 1}}},
        {"scaling": {"minReplicas": 0, "maxReplicas": v1alpha1.MOST_PROXIED}},
    ],
    ids=["smallest", "tokens", "largest"],
)
def test_haproxy_takes_the_configuration(spec: dict[str, Any], ipv6: bool, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(haproxy.build(model(**spec), "cluster.local", hold_seconds=120, ipv6=ipv6))
    done = subprocess.run(
        [haproxies.program(), "-c", "-f", str(file)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    # no cluster's DNS is here, and the direct Service is looked for again while HAProxy runs
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line and "could not resolve" not in line]
    assert warnings == []


async def until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    """Look again until it is so."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await look():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited in vain until {what}")


@contextlib.asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=20), connector=aiohttp.TCPConnector(limit=0)
    ) as one:
        yield one


async def answered_by(client: aiohttp.ClientSession, stage: Stage) -> str:
    """Ask once; return which replica answered, or the status."""
    async with client.post(stage.infer_url, json=BODY) as answer:
        text = await answer.text()
        return text if answer.status == 200 else str(answer.status)


async def up(client: aiohttp.ClientSession, stage: Stage, count: int) -> None:
    """Wait until the proxy gives requests to so many replicas."""

    async def counted() -> bool:
        try:
            async with client.get(stage.url(contract.METRICS_PATH, haproxy.STATUS_PORT)) as answer:
                text = await answer.text()
        except aiohttp.ClientConnectionError:
            return False
        wanted = [f'haproxy_backend_active_servers{{proxy="{side}"}} {count}\n' for side in ("http", "grpc")]
        return all(line in text for line in wanted)

    await until(counted, f"{count} replicas are up")


async def says_ready(client: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientConnectionError):
        async with client.get(url) as answer:
            return answer.status == 200
    return False


async def knows_a_way(client: aiohttp.ClientSession, stage: Stage) -> None:
    """Wait until the proxy has found the direct Service."""
    url = stage.url(haproxy.READY_PATH, haproxy.STATUS_PORT)
    await until(functools.partial(says_ready, client, url), "the proxy knows a way")


async def queued(client: aiohttp.ClientSession, stage: Stage) -> int:
    async with client.get(stage.load_url()) as answer:
        body = await answer.read()
    return loads.decode(body).queued


async def counters(client: aiohttp.ClientSession, stage: Stage) -> tuple[int, int]:
    """Return what the proxy says of requests and of those that it refused."""
    async with client.get(stage.load_url()) as answer:
        load = loads.decode(await answer.read())
    return load.requests, load.refused


async def test_without_a_replica_requests_take_the_way_past_the_proxy(tmp_path: pathlib.Path) -> None:
    async with haproxies.stage(model(), tmp_path, "127.0.0.9") as stage, session() as client:
        stage.replicas["127.0.0.9"].answering.set()
        await knows_a_way(client, stage)
        assert await answered_by(client, stage) == "127.0.0.9"


async def test_the_way_past_the_proxy_has_the_time_for_which_the_activator_holds(tmp_path: pathlib.Path) -> None:
    """A model's own limit has nothing to do with it: that begins when a replica has the request. Nor the client's."""
    shorter = {
        "timeout server 6s": "timeout server 100ms",
        "timeout client 75s": "timeout client 500ms",
        "set-timeout server 126s": "set-timeout server 1s",
    }
    quick, places = model(serving={"timeoutSeconds": 1}), ("127.0.0.2", "127.0.0.3", "127.0.0.9")
    async with (
        haproxies.stage(quick, tmp_path, *places, hold_seconds=120, swapped=shorter) as stage,
        session() as client,
    ):
        clock = asyncio.get_running_loop().time

        async def gives_up() -> float:
            begun = clock()
            async with client.post(stage.infer_url, json=BODY) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (504, "1")
                assert "in time" in (await answer.json())["error"]
            return clock() - begun

        await knows_a_way(client, stage)
        assert await gives_up() >= 0.9
        stage.know(*places[:2])
        await up(client, stage, 2)
        assert min([await gives_up() for _ in range(3)]) < 0.9  # one of them in a moment in which nobody stalls us


async def test_a_channel_takes_as_many_calls_at_a_time_as_at_a_replica(tmp_path: pathlib.Path) -> None:
    async with haproxies.stage(model(), tmp_path, "127.0.0.9") as stage, session() as client, asyncio.timeout(PATIENCE):
        await knows_a_way(client, stage)
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.ports[contract.GRPC_PORT])
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        length = int.from_bytes((await reader.readexactly(9))[:3])
        settings = dict(struct.iter_unpack(">HI", await reader.readexactly(length)))
        assert settings[H2_MAX_CONCURRENT_STREAMS] == server.Limits().max_concurrent_streams
        writer.close()


async def test_a_request_goes_to_the_replica_that_has_the_fewest(tmp_path: pathlib.Path) -> None:
    async with haproxies.stage(model(), tmp_path, "127.0.0.2", "127.0.0.3", "127.0.0.9") as stage, session() as client:
        one, other = stage.replicas["127.0.0.2"], stage.replicas["127.0.0.3"]
        stage.know(one.address, other.address)
        await up(client, stage, 2)
        asking = [asyncio.create_task(answered_by(client, stage)) for _ in range(8)]

        async def all_there() -> bool:
            return one.holding + other.holding == 8

        await until(all_there, "eight requests are held")
        assert (one.holding, other.holding) == (4, 4)
        one.answering.set()  # a quick one from now on, while the other is stuck
        for _ in range(10):
            assert await answered_by(client, stage) == one.address
        other.answering.set()
        assert haproxies.shares(await asyncio.gather(*asking)) == {one.address: 4, other.address: 4}


async def test_what_is_over_the_replicas_share_waits_at_the_proxy_and_is_counted(tmp_path: pathlib.Path) -> None:
    small = model(serving={"batching": {"maxSize": 1}, "maxQueueSize": 3})
    async with haproxies.stage(small, tmp_path, "127.0.0.2", "127.0.0.9") as stage, session() as client:
        replica = stage.replicas["127.0.0.2"]
        stage.know(replica.address)
        await up(client, stage, 1)
        asking = [asyncio.create_task(answered_by(client, stage)) for _ in range(haproxy.share(small) + 3)]

        async def three_wait() -> bool:
            return await queued(client, stage) == 3

        await until(three_wait, "three requests wait")
        assert replica.holding == haproxy.share(small) == 2
        assert await counters(client, stage) == (0, 0)
        for _ in range(2):
            async with client.post(stage.infer_url, json=BODY) as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
                assert "too many requests" in (await refused.json())["error"]
        assert await counters(client, stage) == (2, 2)
        replica.answering.set()
        assert haproxies.shares(await asyncio.gather(*asking)) == {replica.address: 5}
        assert replica.most == 2
        assert await queued(client, stage) == 0
        assert await counters(client, stage) == (2, 2), "they are no load, and never fall"


async def test_a_replica_that_begins_to_end_gets_no_more_and_loses_nothing(tmp_path: pathlib.Path) -> None:
    async with haproxies.stage(model(), tmp_path, "127.0.0.2", "127.0.0.3", "127.0.0.9") as stage, session() as client:
        ending, other = stage.replicas["127.0.0.2"], stage.replicas["127.0.0.3"]
        stage.know(ending.address, other.address)
        await up(client, stage, 2)
        first = asyncio.create_task(answered_by(client, stage))
        second = asyncio.create_task(answered_by(client, stage))

        async def held() -> bool:
            return ending.holding == 1

        await until(held, "a request is held by the one that will end")
        other.answering.set()
        ending.status = 503
        await up(client, stage, 1)
        stage.know(other.address)
        asked = ending.asked
        assert {await answered_by(client, stage) for _ in range(10)} == {other.address}
        assert ending.asked == asked
        ending.answering.set()
        assert sorted(await asyncio.gather(first, second)) == [ending.address, other.address]


async def test_an_address_that_is_another_models_by_now_gets_nothing(tmp_path: pathlib.Path) -> None:
    """Addresses of pods are used again, sooner than every cache of DNS has forgotten them."""
    async with haproxies.stage(model(), tmp_path, "127.0.0.2", "127.0.0.9") as stage, session() as client:
        stage.know("127.0.0.2")
        await up(client, stage, 1)
        stage.replicas["127.0.0.2"].status = 404  # what another model's runtime says of this one
        await up(client, stage, 0)
        stage.replicas["127.0.0.9"].answering.set()
        assert await answered_by(client, stage) == "127.0.0.9"


@contextlib.asynccontextmanager
async def runtime(*addresses: str, age_seconds: float) -> AsyncIterator[tuple[int, int]]:
    """Run real replicas of the model whose connections get so old; yields their ports."""
    http, grpc_port = haproxies.free_ports(2)
    command = [sys.executable, "-m", "foresail_runtime", "serve", str(MODEL), "--name", "fraud"]
    variables = {"HTTP_PORT": http, "GRPC_PORT": grpc_port, "CONNECTION_SECONDS": age_seconds}
    async with contextlib.AsyncExitStack() as stack:
        for address in addresses:
            given = {f"FORESAIL_{name}": str(value) for name, value in ({"HOST": address} | variables).items()}
            process = await asyncio.create_subprocess_exec(
                *command,
                env=os.environ | given,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            stack.push_async_callback(process.wait)
            stack.callback(process.terminate)
        async with session() as client:
            for address in addresses:
                url = f"http://{address}:{http}{contract.READY_PATH}"
                await until(functools.partial(says_ready, client, url), f"{address} is ready")
        yield http, grpc_port


async def test_calls_lose_nothing_when_replicas_end_connections_because_of_their_age(tmp_path: pathlib.Path) -> None:
    """Calls that shared a connection lost their trailers in one of 300 cases."""
    message = oip_pb2.ModelInferRequest(model_name="fraud")
    message.inputs.add(name="input", datatype="FP32", shape=[1, 32]).contents.fp32_contents.extend([0.5] * 32)
    places = ("127.0.0.2", "127.0.0.3")
    async with (
        runtime(*places, age_seconds=0.1) as ports,
        haproxies.stage(model(), tmp_path, *places, served=ports) as stage,
        session() as client,
    ):
        stage.know(*places)
        await up(client, stage, 2)

        async def caller() -> int:
            target = f"127.0.0.1:{stage.ports[contract.GRPC_PORT]}"
            async with grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
                for _ in range(60):
                    await infer(message.SerializeToString(), timeout=20)
            return 60

        assert sum(await asyncio.gather(*(caller() for _ in range(12)))) == 720
