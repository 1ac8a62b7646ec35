"""Starts what is measured, each server in a process of its own on loopback, and reads its CPU time and memory."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Final

from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.runtime.requests import Request

HERE: Final = pathlib.Path(__file__).parent
ROOT: Final = HERE.parents[1]
MLP: Final = ROOT / "tests" / "runtime" / "models" / "mlp.onnx"
LOGS: Final = ROOT / "bench-output" / "logs"
READY_SECONDS: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
"""Before a command: however this process ends, the kernel then ends the other."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    since: float
    """When it was started, by `time.monotonic`."""

    def cpu_seconds(self) -> float:
        """Return the CPU time that it and its children have used."""
        return sum(sum(map(int, fields[11:15])) for fields in self._processes().values()) / _TICKS

    def resident_bytes(self, *, children: bool = False) -> int:
        """Return its resident memory, with that of its children if asked for (which takes much longer)."""
        pages = 0
        for pid in self._processes() if children else (str(self.process.pid),):
            with contextlib.suppress(OSError):
                pages += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _processes(self) -> dict[str, list[str]]:
        """Return what /proc/PID/stat says, after the name, of every process of its session."""
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if fields[3] == str(self.process.pid):
                    found[path.parent.name] = fields
        return found

    def wait(self, request: Request) -> float:
        """Return the seconds from its start to the first good answer to a request."""
        while time.monotonic() - self.since < READY_SECONDS:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}")
            if _answers(self.port, request):
                return time.monotonic() - self.since
            time.sleep(0.005)
        raise SystemExit(f"{self.name} does not answer on port {self.port}")


def _answers(port: int, request: Request) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return that of this process, but with compiled modules, which an image has and a checkout may not."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPYCACHEPREFIX": str(LOGS.parent / "pycache"), **settings}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], port: int, *, grpc_port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a command as long as the block lasts."""
    LOGS.mkdir(parents=True, exist_ok=True)
    since = time.monotonic()
    with (LOGS / f"{name.replace(' ', '-')}.log").open("wb") as log:
        process = subprocess.Popen(
            [*ENDS_WITH_US, *command],
            stdout=log,
            stderr=log,
            env=_environment(environment or {}),
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        yield Server(name, process, port, grpc_port, since)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def foresail(
    model: pathlib.Path,
    name: str = "mlp",
    *,
    grpc: bool = False,
    label: str = "foresail",
    options: Sequence[str] = (),
    **environment: str,
) -> Iterator[Server]:
    """Run the whole runtime; `environment` is that of its settings."""
    port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "foresail_runtime", "serve", str(model), "--name", name]
    command += ["--http-port", str(port), "--grpc-port", str(grpc_port) if grpc else "off", *options]
    with running(label, command, port, grpc_port=grpc_port, environment=environment) as server:
        yield server


@contextlib.contextmanager
def described(
    model: pathlib.Path,
    name: str,
    *,
    label: str = "foresail",
    max_size: int | None = None,
    **environment: str,
) -> Iterator[Server]:
    """Run the whole runtime as in a pod, with a description as the operator writes it."""
    batching = contract.Batching(max_size=max_size)
    description = contract.ModelDescription(name, f"file://{model}", path=str(model), batching=batching)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.json")
        path.write_text(description.encode())
        environment |= {
            contract.ENV_DESCRIPTION: str(path),
            "FORESAIL_HOST": "127.0.0.1",
            "FORESAIL_TERMINATION_PATH": str(path.with_name("termination")),
        }
        command = [sys.executable, "-m", "foresail_runtime", "serve", "--http-port", str(port), "--grpc-port", "off"]
        with running(label, command, port, environment=environment) as server:
            yield server


@contextlib.contextmanager
def floor(model: pathlib.Path) -> Iterator[Server]:
    """Run the least that can answer: see `floor.py`."""
    port = free_port()
    command = [sys.executable, str(HERE / "floor.py"), str(model), str(port)]
    with running("floor", command, port) as server:
        yield server


@contextlib.contextmanager
def floor_grpc(model: pathlib.Path) -> Iterator[Server]:
    """Run the least that can answer over gRPC: see `floor_grpc.py`."""
    port = free_port()
    command = [sys.executable, str(HERE / "floor_grpc.py"), str(model), str(port)]
    with running("floor", command, port, grpc_port=port) as server:
        yield server
