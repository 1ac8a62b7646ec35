"""Makes responses: JSON bodies, and an `{"error": …}` body for every failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
HEADER_LENGTH: Final = "Inference-Header-Content-Length"
MAX_WORDS: Final = 2000
"""Characters of an error's words: what a request said wrongly stands in them, and may be as long as its body."""


def json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(body=orjson.dumps(document), status=status, content_type=JSON, headers=headers)


def error(failure: errors.ForesailError, status: int) -> web.Response:
    """Return the response that a failure is answered with."""
    headers: dict[str, str] = {}
    if failure.retry_after_seconds is not None:
        headers["Retry-After"] = str(failure.retry_after_seconds)
    if isinstance(failure, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(failure.allowed)
    if isinstance(failure, errors.Unauthorized) and failure.challenge is not None:
        headers["WWW-Authenticate"] = failure.challenge
    return json({"error": shortened(failure.message)}, status, headers)


def shortened(words: str) -> str:
    """Return an error's words, cut where they are longer than anybody reads."""
    return words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]}… ({len(words)} characters)"
