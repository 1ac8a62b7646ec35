"""Closed-loop load by `wrk` (Debian package of that name): each connection sends its next request after an answer."""

from __future__ import annotations

import functools
import json
import pathlib
import subprocess
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.runtime import report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from bench.runtime.requests import Request
    from bench.runtime.servers import Server

_SCRIPT: Final = """
function init(args)
  local file = assert(io.open(args[1], "rb")); wrk.body = file:read("*a"); file:close(); wrk.method = "POST"
  for i = 2, #args, 2 do wrk.headers[args[i]] = args[i + 1] end
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"p50":%.4f,"p99":%.4f,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


class Result(NamedTuple):
    """What one run of wrk saw; times in milliseconds."""

    rate: float
    p50: float
    p99: float
    cpu_microseconds: float
    """CPU time of the server a request."""
    refused: int
    """Answers that were not 2xx."""


def compare(
    servers: Iterable[Server], request: Request, connections: int, options: argparse.Namespace
) -> dict[str, Result]:
    """Load each server in turn; return the medians of each."""
    ways = {one.name: functools.partial(load, one, request, connections, options.seconds) for one in servers}
    return report.compare(options.rounds, ways)


def load(server: Server, request: Request, connections: int, seconds: float, *, may_refuse: bool = False) -> Result:
    """Load a server and return what was seen; ends the program if a connection broke, or an answer was not 2xx.

    Who `may_refuse` does so in less time than an answer takes: the rate is that of good answers, the rest is of all.
    """
    with tempfile.TemporaryDirectory() as folder:
        body, script = pathlib.Path(folder, "body"), pathlib.Path(folder, "script.lua")
        body.write_bytes(request.body)
        script.write_text(_SCRIPT)
        headers = [word for pair in request.headers.items() for word in pair]
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "10s",
            "-s",
            str(script),
        ]
        command += [f"http://127.0.0.1:{server.port}{request.path}", "--", str(body), *headers]
        before = server.cpu_seconds()
        text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
        used = server.cpu_seconds() - before
    seen = json.loads(text.splitlines()[-1])
    if seen["broken"]:
        raise SystemExit(f"{server.name}: {seen['broken']} connections broke or timed out")
    if seen["refused"] and not may_refuse:
        raise SystemExit(f"{server.name}: {seen['refused']} answers were not 2xx")
    count, good = max(1, seen["requests"]), seen["requests"] - seen["refused"]
    return Result(good / seen["us"] * 1e6, seen["p50"], seen["p99"], used / count * 1e6, seen["refused"])
