"""Makes answers that are packed if the client takes that, and large enough to be worth it.

The short way does the same by itself (`express`), where an answer is bytes already and nothing is waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from foresail_runtime.web import bodies

if TYPE_CHECKING:
    from collections.abc import Mapping


async def response(
    request: web.BaseRequest, data: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a response with the body, packed as the request's `Accept-Encoding` likes it best, or as it is."""
    made = {"Content-Type": content_type, **(headers or {})}
    if len(data) >= bodies.WORTH_PACKING:
        made["Vary"] = "Accept-Encoding"
        data, name = await bodies.pack(data, request.headers.get("Accept-Encoding", ""))
        if name is not None:
            made["Content-Encoding"] = name
    return web.Response(body=data, headers=made)
