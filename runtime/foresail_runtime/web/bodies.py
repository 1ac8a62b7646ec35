"""Reads request bodies, bounded: by size as sent, by size as unpacked, and by time.

aiohttp's own unpacking is off (it has no limit of its own), and so are its body limit and its handling of
`Expect: 100-continue`, which exist in `web.Application` only; all three are here.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import zlib
from typing import Final, cast

from aiohttp import HttpVersion11, web

from foresail_runtime import errors, room

_GZIP_WINDOW: Final = 31
_ZLIB_WINDOW: Final = 15
_RAW_WINDOW: Final = -15
_PIECE: Final = 16 * 1024
"""So much is unpacked at a time: zlib copies what is left behind each member, and a member can be of 20 bytes."""
PLACE: Final = web.RequestKey("place", room.Place)
"""Under this key a request has what it holds, which grows as a body of untold length comes, or one is unpacked."""
LARGE: Final = 64 * 1024
"""Bodies from this size on are packed and unpacked on another thread; so are those that unpack to LARGE_UNPACKED."""
LARGE_UNPACKED: Final = 2**20
_TURN: Final = threading.Lock()
"""Large bodies are unpacked one after the other: what a body becomes is known, and counted, only then."""
WORTH_PACKING: Final = 1024
"""Smaller answers are sent as they are."""
_LEVEL: Final = 1
"""Tensors hardly shrink further, whatever is spent on it."""


async def read(request: web.BaseRequest, limit: int, timeout_seconds: float) -> bytes:
    """Return the body as it was sent.

    Raises:
        TooLarge: It has, or says it has, more bytes than the limit.
        DeadlineExceeded: It did not arrive in time.
        InvalidRequest: It ended early.
        QueueFull: Its length was not told, and what it holds by now has no place beside what others hold.
    """
    content = request.content
    if content.is_eof():  # all of it came with the headers: the common case, without a turn of the loop
        data = content.read_nowait()
        if len(data) > limit:
            raise _too_large(limit)
        return data
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit, length)
    asked = request.headers.get("Expect", "").lower() == "100-continue"
    if asked and request.version >= HttpVersion11 and request.transport is not None:  # 1.0 has no such answer
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _collect(request, limit)
    except web.RequestPayloadError as error:
        raise errors.BrokenBody(
            "the body is not as its Content-Length or Transfer-Encoding says, or ends early"
        ) from error
    except TimeoutError as error:
        raise errors.RequestTimeout(f"the body did not arrive within {timeout_seconds:g} s") from error


async def whole(request: web.BaseRequest, limit: int, timeout_seconds: float) -> bytes:
    """Return the body as it was before it was packed; raises as `read` and `unpack` do."""
    body = await read(request, limit, timeout_seconds)
    encodings = request.headers.getall("Content-Encoding", ())
    if not encodings:
        return body
    body = await unpack(body, ",".join(encodings), limit)
    if (place := request.get(PLACE)) is not None:
        place.resize(len(body))
    return body


async def _collect(request: web.BaseRequest, limit: int) -> bytes:
    length = request.content_length
    if length is not None:
        return await _collect_known(request, length)
    place = request.get(PLACE)
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if place is not None:
            place.resize(max(place.size, size))
        parts.append(part)
    return b"".join(parts)


async def _collect_known(request: web.BaseRequest, length: int) -> bytes:
    """Collect a body whose length is told into memory of that size: joined from its pieces it would be there twice."""
    body, size = bytearray(length), 0
    async for part in request.content.iter_any():
        body[size : size + len(part)] = part
        size += len(part)
    whole = body if size == len(body) else body[:size]
    return cast("bytes", whole)  # for all that reads it the one is as good as the other


async def unpack(data: bytes, encoding: str, limit: int) -> bytes:
    """Return the body as it was before `Content-Encoding` was applied to it.

    Raises:
        InvalidRequest: It is not what the encoding says, or ends early.
        TooLarge: It unpacks to more than the limit.
        UnsupportedEncoding: The encoding is neither gzip nor deflate.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",")]):
        if name in ("", "identity"):
            continue
        if name not in ("gzip", "x-gzip", "deflate"):
            raise errors.UnsupportedEncoding(f"Content-Encoding {name!r} is not supported: use gzip or deflate")
        data = await _unpack_once(data, name, limit)
    return data


async def _unpack_once(data: bytes, name: str, limit: int) -> bytes:
    if len(data) < LARGE:
        try:
            return inflate(data, name, min(limit, LARGE_UNPACKED))
        except errors.TooLarge:
            if limit <= LARGE_UNPACKED:
                raise
    return await asyncio.to_thread(_inflate_in_turn, data, name, limit)


def _inflate_in_turn(data: bytes, name: str, limit: int) -> bytes:
    with _TURN:
        return inflate(data, name, limit)


async def pack(data: bytes, accepted: str) -> tuple[bytes, str | None]:
    """Return the body packed in the way that `Accept-Encoding` likes best of those we know; None: in none of them."""
    name = choose(accepted)
    if name is None:
        return data, None
    if len(data) < LARGE:
        return deflate(data, name), name
    return await asyncio.to_thread(deflate, data, name), name


@functools.lru_cache(maxsize=64)
def choose(accepted: str) -> str | None:
    """Return gzip or deflate, whichever `Accept-Encoding` wants more, the first of equals; None: neither.

    A wish that is not written as it should be counts as none, and so does `*`: what is not asked for costs time.
    """
    wishes = [_wish(part) for part in accepted.lower().split(",")]
    best = max(wishes, key=lambda wish: wish[0], default=(0.0, ""))
    return best[1] if best[0] > 0 else None


def _wish(text: str) -> tuple[float, str]:
    name, _, parameter = (part.strip() for part in text.partition(";"))
    key, _, quality = (part.strip() for part in parameter.partition("="))
    if name not in ("gzip", "deflate") or (parameter and key != "q"):
        return 0.0, name
    try:
        weight = float(quality) if parameter else 1.0
    except ValueError:
        return 0.0, name
    return (weight if 0 <= weight <= 1 else 0.0), name


def deflate(data: bytes, name: str) -> bytes:
    """Return the packed bytes."""
    stream = zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW if name == "gzip" else _ZLIB_WINDOW)
    return stream.compress(data) + stream.flush()


def inflate(data: bytes, name: str, limit: int) -> bytes:
    """Return the unpacked bytes; raises as `unpack` does."""
    if name == "deflate":
        # A zlib stream by the standard, a bare deflate stream by some clients: told apart by the first byte.
        window = _ZLIB_WINDOW if data[:1] and data[0] & 0x0F == 8 and data[0] >> 4 <= 7 else _RAW_WINDOW
    else:
        window = _GZIP_WINDOW
    parts: list[bytes] = []
    size = offset = 0
    packed, stream = memoryview(data), zlib.decompressobj(window)
    while offset < len(packed):
        if stream.eof:  # gzip files may be several members in a row
            if window != _GZIP_WINDOW:
                raise errors.InvalidRequest(f"{len(packed) - offset} bytes are left after the {name} body")
            stream = zlib.decompressobj(window)
        piece = packed[offset : offset + _PIECE]
        try:
            part = stream.decompress(piece, limit - size + 1)
        except zlib.error as error:
            raise errors.InvalidRequest(f"the body is not {name}, as Content-Encoding says: {error}") from error
        offset += len(piece) - len(stream.unused_data)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    if offset and not stream.eof:
        raise errors.InvalidRequest(f"the {name} body ends early")
    return b"".join(parts)


def _too_large(limit: int, length: int | None = None) -> errors.TooLarge:
    what = "the body" if length is None else f"a body of {length} bytes"
    return errors.TooLarge(f"{what} is over the limit of {limit} bytes (FORESAIL_MAX_BODY_BYTES)")
