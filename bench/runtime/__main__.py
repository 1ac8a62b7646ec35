"""Small model, whole runtime, against the floor: requests a second, p50 and p99 at 1, 8 and 32 connections, as ratios.

    python bench/runtime [--seconds 3] [--rounds 3] [--binary] [--with-http]

Rounds alternate between the servers, so that what else the machine does hits them alike; medians are compared.
Needs `wrk` (Debian package of that name). Everything stays on loopback.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parents[1] / "tests" / "runtime" / "models" / "mlp.onnx"
CONNECTIONS = (1, 8, 32)
READY_SECONDS = 30


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_ready(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/mlp/infer", json_body())
            urllib.request.urlopen(request, timeout=2).read()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing answers on port {port}")


def json_body() -> bytes:
    tensor = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [round(i / 7, 4) for i in range(32)]}
    return json.dumps({"inputs": [tensor]}).encode()


def binary_body() -> tuple[bytes, int]:
    data = struct.pack("<32f", *(i / 7 for i in range(32)))
    tensor = {"name": "input", "shape": [1, 32], "datatype": "FP32", "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [tensor]}).encode()
    return head + data, len(head)


def script(folder: pathlib.Path, binary: bool) -> pathlib.Path:
    body, head = binary_body() if binary else (json_body(), None)
    (folder / "body").write_bytes(body)
    path = folder / "wrk.lua"
    header = "" if head is None else f'wrk.headers["Inference-Header-Content-Length"] = "{head}"\n'
    path.write_text(f'wrk.method = "POST"\n{header}wrk.body = io.open("{folder}/body", "rb"):read("*a")\n')
    return path


def load(port: int, connections: int, seconds: float, lua: pathlib.Path) -> dict[str, float]:
    url = f"http://127.0.0.1:{port}/v2/models/mlp/infer"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency", "-s", str(lua), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    return {"rate": float(rate[1]) if rate else 0.0, "p50": latency(text, "50"), "p99": latency(text, "99")}


def latency(text: str, percent: str) -> float:
    found = re.search(rf"\s{percent}%\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    parser.add_argument("--binary", action="store_true")
    parser.add_argument("--with-http", action="store_true")
    parser.add_argument("--model", type=pathlib.Path, default=MODEL)
    options = parser.parse_args()
    ports = {"floor": free_port(), "foresail": free_port()}
    floor = [sys.executable, str(HERE / "floor.py"), str(options.model)]
    commands = {
        "floor": [*floor, str(ports["floor"])],
        "foresail": [
            *(sys.executable, "-m", "foresail_runtime", "serve", str(options.model), "--name", "mlp"),
            *("--http-port", str(ports["foresail"]), "--grpc-port", "off"),
        ],
    }
    if options.with_http:
        ports["http"] = free_port()
        commands["http"] = [*floor, str(ports["http"]), "http"]
    servers = {name: subprocess.Popen(command, stdout=subprocess.DEVNULL) for name, command in commands.items()}
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, ports, {name: server.pid for name, server in servers.items()}, pathlib.Path(folder))
    finally:
        for server in servers.values():
            server.terminate()
        for server in servers.values():
            server.wait(10)


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(options: argparse.Namespace, ports: dict[str, int], pids: dict[str, int], folder: pathlib.Path) -> None:
    lua = script(folder, options.binary)
    for port in ports.values():
        wait_ready(port)
        load(port, 8, 1, lua)
    print(
        f"{'connections':>11} {'server':>9} {'req/s':>8} {'x floor':>8} {'p50 ms':>7} {'p99 ms':>7} {'CPU us/req':>10}"
    )
    for connections in options.connections:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ports}
        for _ in range(options.rounds):
            for name, port in ports.items():
                before = cpu_seconds(pids[name])
                result = load(port, connections, options.seconds, lua)
                used = cpu_seconds(pids[name]) - before
                found[name].append({**result, "cpu": used / (result["rate"] * options.seconds) * 1e6})
        base = statistics.median(one["rate"] for one in found["floor"])
        for name, results in found.items():
            row = {key: statistics.median(one[key] for one in results) for key in results[0]}
            print(
                f"{connections:>11} {name:>9} {row['rate']:>8.0f} {row['rate'] / base:>8.2f} "
                f"{row['p50']:>7.2f} {row['p99']:>7.2f} {row['cpu']:>10.0f}"
            )


if __name__ == "__main__":
    main()
