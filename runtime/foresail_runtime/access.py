"""The access log: one line a request, with no payload in it; and the request's span, where spans are sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from foresail_runtime import tracing

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("foresail.access")


class AccessLog:
    """Writes down what was answered; used on the loop's thread."""

    def __init__(self, tracer: tracing.Tracer | None, *, lines: bool) -> None:
        self._tracer = tracer
        self._lines = lines
        self.active = lines or tracer is not None
        """Whether there is anything to write: callers on the short way ask before they call."""

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
        parent = tracing.parse(headers.get(tracing.HEADER))
        answer = None
        if self._tracer is not None:
            answer = self._tracer.record(
                f"{method} {path}", parent, seconds, _attributes(method, path, status), failed=_is_ours(status)
            )
        if self._lines:
            fields: dict[str, Any] = {
                "method": method,
                "path": path,
                "status": status,
                "milliseconds": round(seconds * 1000, 3),
                "bytes": size,
                "client": client,
                "request_id": headers.get("x-request-id"),
                "trace_id": answer.split("-")[1] if answer else parent.trace_id if parent else None,
            }
            log.info("answered", extra={"fields": fields})
        return answer


def _attributes(method: str, path: str, status: int | str) -> dict[str, str | int]:
    """Return what OpenTelemetry's conventions call it."""
    if isinstance(status, str):
        service, _, name = path.strip("/").rpartition("/")
        return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name, "rpc.grpc.status": status}
    return {"http.request.method": method, "url.path": path, "http.response.status_code": status}


def _is_ours(status: int | str) -> bool:
    return status in ("INTERNAL", "UNKNOWN") if isinstance(status, str) else status >= 500
