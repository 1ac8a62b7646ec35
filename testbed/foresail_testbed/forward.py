"""A way from this machine's own shell to the API server inside: a port of 127.0.0.1 and a kubeconfig for it.

Run as `python -m foresail_testbed.forward NAME INIT_PID`. The listening socket is made outside, then the
process moves into the cluster's network, so that what it opens from then on leads to the API server. It ends with the
cluster.
"""

import asyncio
import contextlib
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

from foresail_testbed import errors, layout, locks, manifests, namespaces, options

CONNECTIONS = 256
CHUNK = 65536
CONNECT_SECONDS = 10.0
START_SECONDS = 10.0


def main() -> int:
    """Listen, write the kubeconfig, tell the starter, and forward until the cluster ends."""
    run, init = layout.Run.named(sys.argv[1]), int(sys.argv[2])
    cluster = os.pidfd_open(init)
    with locks.held(run.forward_lock):
        listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
        write_kubeconfig(run, f"https://127.0.0.1:{listener.getsockname()[1]}")
        namespaces.enter_network(Path(f"/proc/{init}/ns/net"))
        os.close(sys.stdout.fileno())
        asyncio.run(serve(listener, cluster))
    return 0


def write_kubeconfig(run: layout.Run, server: str) -> None:
    """Write the kubeconfig; whole or not at all, for a shell may have the one of an earlier forwarder in use."""
    draft = run.outside_kubeconfig.with_suffix(".draft")
    draft.write_text(manifests.portable_kubeconfig(run, server))
    draft.rename(run.outside_kubeconfig)


async def serve(listener: socket.socket, cluster: int) -> None:
    """Forward connections until the cluster's process has ended."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(cluster, ended.set)
    places = asyncio.Semaphore(CONNECTIONS)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with places:
            await connect(reader, writer)

    async with await asyncio.start_server(accept, sock=listener):
        await ended.wait()


async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join one connection to the API server, in both directions, until either side ends it."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            inner_reader, inner_writer = await asyncio.open_connection(options.API_ADDRESS, options.API_PORT)
    except OSError:
        writer.close()
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(pump(reader, inner_writer))
            both.create_task(pump(inner_reader, writer))
    finally:
        writer.close()
        inner_writer.close()


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then say so to the target; a connection that breaks ends the same way."""
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK):
            target.write(chunk)
            await target.drain()
        target.write_eof()


def start(run: layout.Run, init: int) -> Path:
    """Start forwarding, unless it is on, and return the kubeconfig to use outside.

    The end of a shell's session may have killed the forwarder: that it once wrote its kubeconfig says nothing.
    """
    with locks.held(run.folder / "forward.start"):
        if not locks.taken(run.forward_lock):
            launch(run, init)
    return run.outside_kubeconfig


def launch(run: layout.Run, init: int) -> None:
    """Start the forwarder and return when it listens; raises TestbedError if it doesn't."""
    command = [sys.executable, "-m", "foresail_testbed.forward", run.name, str(init)]
    with namespaces.at_home(), (run.logs / "forward.log").open("ab") as log:
        work = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    wait_closed(work)
    work.returncode = 0  # it stays; the cluster's end is its own


def wait_closed(work: "subprocess.Popen[bytes]") -> None:
    """Wait until the forwarder has let go of its output, which says that it listens."""
    if work.stdout is None:
        raise RuntimeError("the forwarder was started without a pipe")
    with work.stdout as pipe:
        ready, _, _ = select.select([pipe], [], [], START_SECONDS)
    if not ready or work.poll() is not None:
        raise errors.TestbedError("the way to the API server from outside could not be opened; see forward.log")


if __name__ == "__main__":
    sys.exit(main())
