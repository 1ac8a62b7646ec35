"""Cross-origin requests (CORS): which web pages may call this server from a browser. None may, unless told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY: Final = "*"
MAX_AGE_SECONDS: Final = 3600
_EXPOSED: Final = "Inference-Header-Content-Length, Retry-After"


def headers(allowed: tuple[str, ...], request: Mapping[str, str]) -> dict[str, str]:
    """Return what to add to the answer of a request; nothing if it comes from no page, or from one not allowed."""
    origin = request.get("Origin")
    if origin is None or not (ANY in allowed or origin in allowed):
        return {}
    named = ANY if ANY in allowed else origin
    return {"Access-Control-Allow-Origin": named, "Vary": "Origin", "Access-Control-Expose-Headers": _EXPOSED}


def preflight(allowed: tuple[str, ...], request: Mapping[str, str], methods: tuple[str, ...]) -> dict[str, str]:
    """Return what else to answer to the question that a browser asks before the request itself."""
    if not headers(allowed, request) or "Access-Control-Request-Method" not in request:
        return {}
    wanted = request.get("Access-Control-Request-Headers", "")
    found = {"Access-Control-Allow-Methods": ", ".join(methods), "Access-Control-Max-Age": str(MAX_AGE_SECONDS)}
    return found | ({"Access-Control-Allow-Headers": wanted} if wanted else {})
