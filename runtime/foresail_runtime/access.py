"""The access log: one line a request, with no payload in it; and the request's span, where spans are sent.

A line costs about a microsecond where the request happens: its text is put together from pieces that repeat, and
`lines` writes what has gathered. The standard library's logging would take longer than a small model's request.
"""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from foresail_runtime import logs, tracing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foresail_runtime.lines import Lines

_LOGGER: Final = "foresail.access"
_MESSAGE: Final = "answered"


class AccessLog:
    """Writes down what was answered; used on the loop's thread."""

    def __init__(self, tracer: tracing.Tracer | None, lines: Lines | None, log_format: str = "json") -> None:
        self._tracer = tracer
        self._lines = lines
        self._line = _json_line if log_format == "json" else _text_line
        self.active = lines is not None or tracer is not None
        """Whether there is anything to write: callers on the short way ask before they call."""

    def flush(self) -> None:
        """Write what has gathered; from any thread."""
        if self._lines is not None:
            self._lines.flush()

    def close(self) -> None:
        """Write what has gathered, and gather no more."""
        if self._lines is not None:
            self._lines.close()

    def write(
        self,
        method: str,
        path: str,
        status: int | str,
        *,
        seconds: float,
        size: int | None,
        client: str | None,
        headers: Mapping[str, str],
    ) -> str | None:
        """Write the line of one answered request; `status` is HTTP's number, or the name of gRPC's.

        Returns what the answer's `traceresponse` is to say; None where no spans are sent.
        """
        context, identity = headers.get(tracing.HEADER), headers.get("x-request-id")
        parent = tracing.parse(context) if context else None
        answer = None
        if self._tracer is not None:
            answer = self._tracer.record(
                f"{method} {path}", parent, seconds, _attributes(method, path, status), failed=_is_ours(status)
            )
        if self._lines is not None:
            trace_id = answer.split("-")[1] if answer else parent.trace_id if parent else None
            line = self._line(
                method, path, status, seconds=seconds, size=size, client=client, request_id=identity, trace_id=trace_id
            )
            self._lines.add(line)
        return answer


def _json_line(
    method: str,
    path: str,
    status: int | str,
    *,
    seconds: float,
    size: int | None,
    client: str | None,
    request_id: str | None,
    trace_id: str | None,
) -> str:
    return _pattern(method, path, status, client) % (
        logs.time_text(time.time()),
        seconds * 1000,
        "null" if size is None else size,
        "null" if request_id is None else _dump(request_id),
        "null" if trace_id is None else _dump(trace_id),
    )


def _text_line(
    method: str,
    path: str,
    status: int | str,
    *,
    seconds: float,
    size: int | None,
    client: str | None,
    request_id: str | None,
    trace_id: str | None,
) -> str:
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "milliseconds": round(seconds * 1000, 3),
        "bytes": size,
        "client": _plain(client),
        "request_id": request_id,
        "trace_id": trace_id,
    }
    return f"{logs.time_text(time.time())} INFO {_MESSAGE}{logs.pairs(fields)}\n"


@functools.lru_cache(maxsize=1024)
def _pattern(method: str, path: str, status: int | str, client: str | None) -> str:
    """Return the line of all requests of a client that are answered alike, but for what each has of its own."""
    alike = {"level": "INFO", "logger": _LOGGER, "message": _MESSAGE, "method": method, "path": path, "status": status}
    first, last = (_dump(part)[1:-1].replace("%", "%%") for part in (alike, {"client": _plain(client)}))
    return f'{{"time":"%s",{first},"milliseconds":%.3f,"bytes":%s,{last},"request_id":%s,"trace_id":%s}}\n'


def _plain(client: str | None) -> str | None:
    """Return a client's address; a socket of IPv4 and IPv6 says ::ffff:192.0.2.1 of the former."""
    return client.removeprefix("::ffff:") if client and "." in client else client


def _dump(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # a path that is no UTF-8, for one
        return json.dumps(value)


def _attributes(method: str, path: str, status: int | str) -> dict[str, str | int]:
    """Return what OpenTelemetry's conventions call it."""
    if isinstance(status, str):
        service, _, name = path.strip("/").rpartition("/")
        return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name, "rpc.grpc.status": status}
    return {"http.request.method": method, "url.path": path, "http.response.status_code": status}


def _is_ours(status: int | str) -> bool:
    return status in ("INTERNAL", "UNKNOWN") if isinstance(status, str) else status >= 500
