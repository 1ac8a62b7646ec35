"""HAProxy as a model's proxy runs it, on loopback: real programs, with a DNS server and replicas of the test's own."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import shutil
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from foresail_operator.desired import haproxy
from foresail_runtime import contract
from foresail_testbed import host

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Mapping

    from foresail_operator.api.v1alpha1 import ModelDeployment

HINT: Final = "HAProxy is needed for this test: apt-get install haproxy"
_A: Final = 1


def program() -> str:
    """Return HAProxy's path, installed where that can be done without asking; else fails with what to do."""
    if host.locate("haproxy") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        host.install({"haproxy": "haproxy"})
    found = host.locate("haproxy")
    assert found, HINT
    return found


class Names(asyncio.DatagramProtocol):
    """A DNS server that knows addresses by the first part of a name."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += length + 1
        (kind,) = struct.unpack(">H", data[at + 1 : at + 3])
        found = self.addresses.get(labels[0], []) if kind == _A else []
        unknown = 3 if kind == _A and not found else 0  # as CoreDNS says of a Service without a ready pod
        answer = data[:2] + struct.pack(">HHHHH", 0x8580 | unknown, 1, len(found), 0, 0) + data[12 : at + 5]
        for address in found:
            answer += b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 5, 4) + socket.inet_aton(address)
        assert self._transport is not None
        self._transport.sendto(answer, addr)


@dataclasses.dataclass
class Replica:
    """Answers as a runtime does, when it is let."""

    address: str
    status: int = 200
    """What it says to who asks whether the model is ready."""
    answering: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    asked: int = 0
    holding: int = 0
    most: int = 0
    """Requests that it held at a time."""

    async def infer(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked += 1
        self.holding += 1
        self.most = max(self.most, self.holding)
        try:
            await self.answering.wait()
        finally:
            self.holding -= 1
        return web.Response(text=self.address)

    async def look(self, _: web.Request) -> web.Response:
        return web.Response(status=self.status)

    def app(self, model: str) -> web.Application:
        """Return what it serves."""
        app = web.Application()
        app.router.add_post(f"/v2/models/{model}/infer", self.infer)
        app.router.add_get(contract.model_ready_path(model), self.look)
        return app


@dataclasses.dataclass
class Stage:
    """A proxy that runs, its replicas, and what it asks for addresses."""

    model: str
    names: Names
    replicas: dict[str, Replica]
    ports: dict[int, int]
    """By the port that the configuration has: the port that it has here."""

    def url(self, path: str, port: int = contract.HTTP_PORT) -> str:
        """Return an address at the proxy."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    @property
    def infer_url(self) -> str:
        """Where to ask the model."""
        return self.url(f"/v2/models/{self.model}/infer")

    def load_url(self) -> str:
        """Where the operator asks."""
        return self.url(contract.LOAD_PATH, haproxy.STATUS_PORT)

    def know(self, *addresses: str) -> None:
        """Let DNS list these replicas."""
        self.names.addresses[f"{self.model}-pods"] = list(addresses)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def moved(text: str, ports: dict[int, int], dns: int) -> str:
    """Return a configuration for loopback: other ports to listen on, and a DNS server of the test's own."""
    for before, after in ports.items():
        text = text.replace(f"bind :{before}", f"bind 127.0.0.1:{after}")
    return text.replace("parse-resolv-conf", f"nameserver test 127.0.0.1:{dns}")


@contextlib.asynccontextmanager
async def stage(
    model: ModelDeployment,
    folder: pathlib.Path,
    *addresses: str,
    served: tuple[int, int] | None = None,
    hold_seconds: int = 0,
    swapped: Mapping[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """Run a model's proxy before replicas at addresses of loopback; the last one is behind the direct Service.

    `served` are the ports of HTTP and gRPC where replicas run there already; without it they are stubs. `swapped` are
    lines of the configuration that a test has shorter times in.
    """
    name = model.metadata.name
    here = dict(zip((contract.HTTP_PORT, contract.GRPC_PORT, haproxy.STATUS_PORT), free_ports(3), strict=True))
    port, grpc_port = served or free_ports(2)
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    text = haproxy.build(model, "cluster.local", hold_seconds=hold_seconds)
    for line, other in (swapped or {}).items():
        assert f" {line}" in text
        text = text.replace(f" {line}", f" {other}")
    text = moved(text, here, transport.get_extra_info("sockname")[1])
    text = text.replace(f":{contract.HTTP_PORT} check", f":{port} check").replace(
        f"connect port {contract.HTTP_PORT}", f"connect port {port}"
    )
    text = text.replace(f":{contract.GRPC_PORT} check", f":{grpc_port} check")
    text = text.replace("cluster.local:80 backup", f"cluster.local:{port} backup")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    made = Stage(name, names, {address: Replica(address) for address in addresses}, here)
    names.addresses[f"{name}-direct"] = [addresses[-1]]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(transport.close)
        for address, replica in made.replicas.items() if served is None else ():
            runner = web.AppRunner(replica.app(name), access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.callback(replica.answering.set)
            await web.TCPSite(runner, address, port).start()
        process = await asyncio.create_subprocess_exec(
            program(), "-db", "-f", str(file), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        stack.push_async_callback(process.wait)
        stack.callback(process.kill)
        yield made


def load(text: str) -> contract.Load:
    """Read what a proxy says of itself."""
    return contract.Load.decode(json.dumps(json.loads(text)))


def shares(answers: list[str]) -> dict[str, int]:
    """Return how many of the answers came from each replica."""
    return dict(collections.Counter(answers))
