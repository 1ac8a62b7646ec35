"""`python -m tests.cluster.stub_pods FILE`: every pod of a cluster whose kubelets are kwok's, as far as its load goes.

It listens on all addresses that kwok gives to pods. Together they carry as many requests as FILE says, each pod that
is asked its share, which is what a fair balancer in front of them would do. With the word `uneven` behind the number
the second pod (by address) carries twice what the first does, the third three times as much, and so on.
"""

from __future__ import annotations

import asyncio
import collections
import ipaddress
import pathlib
import sys
import time
from typing import Final

from foresail_runtime.contract import HTTP_PORT, Load

PHASES: Final = {"start": 0.03, "fetch": 0.01, "verify": 0.0, "load": 0.02, "warm": 0.01}
"""What a pod says of its start, as if it had begun so long before it was asked first."""
_MISSED: Final = 4
"""A pod is gone when another was asked so often since it was; by time, a stall of who asks would end all of them."""


class Pods:
    """What all of them carry, and the part of each."""

    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self._missed: dict[str, collections.Counter[str]] = {}
        """How often each of the others was asked since a pod was."""
        self._born: dict[str, float] = {}
        self._carried: dict[str, tuple[float, float]] = {}

    def says(self, address: str) -> bytes:
        """Answer for one pod."""
        now = time.monotonic()
        self._missed[address] = collections.Counter()
        for one, missed in list(self._missed.items()):
            missed[address] += one != address
            if missed[address] >= _MISSED:
                del self._missed[one]
        there = sorted(self._missed, key=ipaddress.ip_address)  # as text, …9 stands behind …10
        number, _, way = (self._file.read_text() or "0").partition(" ")
        weights = range(1, len(there) + 1) if way == "uneven" else [1] * len(there)
        share = float(number) * weights[there.index(address)] / sum(weights)
        seconds, at = self._carried.get(address, (0.0, now))
        self._carried[address] = (seconds + share * (now - at), now)
        age = now - self._born.setdefault(address, now) + sum(PHASES.values())
        requests = int(now * 10)
        load = Load("ready", round(share), 0, requests, self._carried[address][0], age_seconds=age, phases=PHASES)
        body = load.encode().encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Connection(asyncio.Protocol):
    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(self._pods.says(self._transport.get_extra_info("sockname")[0]))


async def serve(file: pathlib.Path) -> None:
    """Answer until killed."""
    pods = Pods(file)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pods), "0.0.0.0", HTTP_PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(pathlib.Path(sys.argv[1])))
