"""The kernel's table of connections."""

from __future__ import annotations

import asyncio

from foresail_runtime.grpc import connections

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:9C40 0100007F:1F91 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:1F91 0100007F:9C41 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0
   4: 0000000000000000FFFF00000100007F:1F91 0000000000000000FFFF00000100007F:9C42 01 00000000:00000000 00:0 0 0 0 4
"""


def test_open_connections_of_the_port_are_counted_and_nothing_else() -> None:
    assert connections.established(TABLE, 0x1F91) == 2
    assert connections.established(TABLE, 8080) == 0


async def test_a_connection_is_counted_while_it_is_open() -> None:
    arrived = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    assert connections.count(port) == 0
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    assert connections.count(port) == 1
    await arrived.wait()
    writer.close()
    listener.close()
