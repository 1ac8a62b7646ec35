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
    except subprocess.CalledProcessError as error:
        return json.dumps({"error": f"{error}: {error.stderr}"}) + "\n"
    except (ValueError, KeyError, TypeError, OSError) as error:
        return json.dumps({"error": repr(error)}) + "\n"
    return json.dumps({"result": result}) + "\n"


def send(path: Path, order: str, **arguments: Any) -> Any:
    """Send an order and return its result; raises TestbedError with the supervisor's words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(str(path))
        client.sendall((json.dumps({"order": order, "with": arguments}) + "\n").encode())
        reply = json.loads(client.makefile().readline())
    if "error" in reply:
        raise errors.TestbedError(reply["error"])
    return reply["result"]
