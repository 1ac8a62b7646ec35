"""The access log: one line a request, with no payload in it."""

from __future__ import annotations

import logging

log = logging.getLogger("foresail.access")


def write(
    method: str, path: str, status: int, *, seconds: float, size: int | None, client: str | None, request_id: str | None
) -> None:
    """Write the line of one answered request."""
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "milliseconds": round(seconds * 1000, 3),
        "bytes": size,
        "client": client,
        "request_id": request_id,
    }
    log.info("answered", extra={"fields": fields})
