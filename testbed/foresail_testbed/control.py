"""Orders to the supervisor inside a cluster: one JSON line each way over a Unix socket."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foresail_testbed import errors

ANSWER_SECONDS = 60.0
READ_SECONDS = 5.0

Order = Callable[..., Any]


def listen(path: Path) -> socket.socket:
    """Open the socket; the folder above it is root's alone."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(16)
    return server


def serve(server: socket.socket, orders: Mapping[str, Order]) -> None:
    """Carry out orders one after the other, for ever; a caller that breaks off harms none but itself."""
    while True:
        connection, _ = server.accept()
        connection.settimeout(READ_SECONDS)
        with connection, contextlib.suppress(OSError):
            line = connection.makefile().readline()
            connection.sendall(answer(line, orders).encode())


def answer(line: str, orders: Mapping[str, Order]) -> str:
    """Carry out one order and return the answer's line."""
    try:
        message = json.loads(line)
        result = orders[message["order"]](**message["with"])
    except errors.TestbedError as error:
        return json.dumps({"error": str(error)}) + "\n"
    except subprocess.SubprocessError as error:
        return json.dumps({"error": errors.explain(error)}) + "\n"
    except (ValueError, KeyError, TypeError, OSError) as error:
        return json.dumps({"error": repr(error)}) + "\n"
    return json.dumps({"result": result}) + "\n"


def send(path: Path, order: str, **arguments: Any) -> Any:
    """Send an order and return its result; raises TestbedError with the supervisor's words, or where none came."""
    try:
        reply = json.loads(exchange(path, json.dumps({"order": order, "with": arguments})))
    except (OSError, ValueError) as error:
        run = path.parent
        raise errors.TestbedError(
            f"the cluster {run.name} gives no answer ({error}): it is still starting, or has ended; "
            f"its logs are in {run}/log"
        ) from error
    if "error" in reply:
        raise errors.TestbedError(reply["error"])
    return reply["result"]


def exchange(path: Path, line: str) -> str:
    """Send a line and return the one that comes back; empty where the supervisor ends meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(str(path))
        client.sendall(f"{line}\n".encode())
        return client.makefile().readline()
