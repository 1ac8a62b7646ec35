"""Other servers with the same small model beside ours: `make bench-runtime PART=peers PEERS="triton mlserver kserve"`.

A peer is one file, NAME_mlp.py, in the folder that --peers-folder (or $FORESAIL_PEERS) names. Its first line says
`# requirements: …`, as pip takes them; they are installed once into a virtual environment of the peer's own in the
user's cache. It reads MLP_ONNX, HTTP_PORT, GRPC_PORT and METRICS_PORT from its environment and answers
/v2/models/mlp/infer on 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from bench.runtime import grpc_calls, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from bench.runtime.servers import Server

CONNECTIONS: Final = (1, 8, 32)
RATE_BARS: Final = {(name, connections): 5.0 for name in ("mlserver", "kserve") for connections in (8, 32)}
"""By server and connections, how many times its rate ours is at least."""
SPEAK_GRPC: Final = ("foresail", "triton", "mlserver", "kserve")
CALL_BARS: Final = {("mlserver", in_flight): 2.0 for in_flight in (8, 32)}
"""The same of calls over gRPC, by server and how many are in flight; of one a bare handler of grpc.aio has 1.8."""
CPU_BARS: Final = {("triton", connections): 1.0 for connections in CONNECTIONS}
"""By server and connections, how many times ours its CPU a request is at least."""
_HEAD: Final = ("ours / its", "bar", "p50 ms", "p99 ms", "CPU us each", "its CPU / ours", "CPU bar")
_ARGUMENTS: Final = {"kserve": ("--http_port", "{http}", "--grpc_port", "{grpc}", "--workers", "1")}
"""For those that read no environment."""


def main(options: argparse.Namespace) -> bool:
    """Measure the floor, ours and each peer in turn; return whether the bars were met."""
    if not options.peers_folder:
        print("\npeers: left out, no --peers-folder was given (or FORESAIL_PEERS set)")
        return True
    folder = pathlib.Path(options.peers_folder).resolve()
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(servers.floor(servers.MLP))]
        found.append(stack.enter_context(servers.foresail(servers.MLP, grpc=True)))
        found += [stack.enter_context(peer(name, folder)) for name in options.peers.split()]
        requests_met = _requests(found, options)
        calls_met = _calls([server for server in found if server.name in SPEAK_GRPC], options)
    return requests_met and calls_met


def _requests(found: list[Server], options: argparse.Namespace) -> bool:
    request = requests.as_json(requests.rows(1))
    rows: list[list[object]] = []
    for server in found:
        server.wait(request)
        wrk.load(server, request, 8, 1)
    for connections in CONNECTIONS:
        rows += _rows(connections, wrk.compare(found, request, connections, options), RATE_BARS, CPU_BARS)
    memory = {server.name: server.resident_bytes(children=True) / 2**20 for server in found}
    title = "the same small model behind other servers, REST JSON"
    return report.show("peers", title, ("connections", "server", "req/s", *_HEAD), rows, resident_mib=memory)


def _calls(found: list[Server], options: argparse.Namespace) -> bool:
    rows: list[list[object]] = []
    for server in found:
        grpc_calls.load(server, 8, 1)
    for in_flight in grpc_calls.IN_FLIGHT:
        ways = {one.name: functools.partial(grpc_calls.load, one, in_flight, options.seconds) for one in found}
        rows += _rows(in_flight, report.compare(options.rounds, ways), CALL_BARS, {})
    title = "the same small model behind other servers, gRPC"
    return report.show("peers-grpc", title, ("in flight", "server", "calls/s", *_HEAD), rows)


def _rows(
    number: int,
    seen: dict[str, wrk.Result],
    rate_bars: dict[tuple[str, int], float],
    cpu_bars: dict[tuple[str, int], float],
) -> list[list[object]]:
    """Return a row a server, the fastest first."""
    ours, rows = seen["foresail"], list[list[object]]()
    for name, one in sorted(seen.items(), key=lambda pair: -pair[1].rate):
        rate, cpu = ours.rate / one.rate, one.cpu_microseconds / ours.cpu_microseconds
        enough = report.Bar(rate, least=rate_bars[name, number]) if (name, number) in rate_bars else None
        cheap = report.Bar(cpu, least=cpu_bars[name, number]) if (name, number) in cpu_bars else None
        rows.append([number, name, one.rate, rate, enough, one.p50, one.p99, one.cpu_microseconds, cpu, cheap])
    return rows


@contextlib.contextmanager
def peer(name: str, folder: pathlib.Path) -> Iterator[Server]:
    """Run a peer in its own environment."""
    script = folder / f"{name}_mlp.py"
    if not script.exists():
        raise SystemExit(f"there is no peer {name}: {script} is missing")
    python = _environment(name, script)
    http, grpc, metrics = (str(servers.free_port()) for _ in range(3))
    arguments = [word.format(http=http, grpc=grpc) for word in _ARGUMENTS.get(name, ())]
    settings = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": "",
        "MLP_ONNX": str(servers.MLP),
        "HTTP_PORT": http,
        "GRPC_PORT": grpc,
        "METRICS_PORT": metrics,
        "MAX_BATCH": "0",
        "MAX_DELAY_US": "0",
    }
    command = [str(python), str(script), *arguments]
    with servers.running(name, command, int(http), grpc_port=int(grpc), environment=settings) as server:
        yield server


def _environment(name: str, script: pathlib.Path) -> pathlib.Path:
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    venv = cache / "foresail" / "peers" / name
    done = venv / "installed"
    first = script.read_text().splitlines()[0]
    wanted = first.removeprefix("# requirements:").split("  (")[0].split()
    if not done.exists() or done.read_text() != first:
        print(f"installing {name}: {' '.join(wanted)}")
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", *wanted], check=True)
        done.write_text(first)
    return venv / "bin" / "python"
