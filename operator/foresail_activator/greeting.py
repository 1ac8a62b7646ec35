"""What a client's first bytes are, and how to refuse it in its own protocol.

    first bytes            refusal
    HTTP/1.1 method        503 with Retry-After
    HTTP/2 preface         503, gRPC status UNAVAILABLE, for each stream (see `h2`)
    TLS record             a fatal alert: nobody here has the key to say more
    anything else          the connection is closed

Nothing else is read of a request: whoever is held is handed on byte by byte.
"""

from __future__ import annotations

import enum
import json
from typing import Final, Protocol

from foresail_activator import h2

_TLS_HANDSHAKE: Final = 0x16
_ALERT: Final = bytes((0x15, 0x03, 0x01, 0x00, 0x02, 2, 80))
"""Fatal, internal_error: the one word of TLS that may be said before any key is agreed on."""
_LONGEST_METHOD: Final = 20


class Protocols(enum.Enum):
    """What a client speaks."""

    HTTP1 = enum.auto()
    HTTP2 = enum.auto()
    TLS = enum.auto()
    OTHER = enum.auto()


class Refuser(Protocol):
    """Says no: `receive` takes what the client sent and returns what to answer."""

    def receive(self, data: bytes) -> bytes:
        """Return the bytes to write now."""


def recognize(data: bytes | bytearray) -> Protocols:
    """Tell what a client speaks by what it has sent so far, at least a byte."""
    if data[0] == _TLS_HANDSHAKE:
        return Protocols.TLS
    if len(data) >= 3 and h2.PREFACE.startswith(data[: len(h2.PREFACE)]):
        return Protocols.HTTP2
    method = data[:_LONGEST_METHOD].partition(b" ")[0]
    return Protocols.HTTP1 if method.isalpha() and method.isupper() else Protocols.OTHER


def needs_more(data: bytes | bytearray) -> bool:
    """Tell whether a client that has sent this, and was not answered, is gone if it ends: it has not said all."""
    return recognize(data) in (Protocols.HTTP2, Protocols.TLS)


def refuser(data: bytes, message: str, retry_after_seconds: int) -> Refuser:
    """Return how to refuse the client that has sent this."""
    match recognize(data):
        case Protocols.HTTP1:
            return _Once(http1(message, retry_after_seconds))
        case Protocols.HTTP2:
            return h2.Refuser(message, retry_after_seconds)
        case Protocols.TLS:
            return _Once(_ALERT)
        case Protocols.OTHER:
            return _Once(b"")


def http1(message: str, retry_after_seconds: int) -> bytes:
    """Return the whole answer; its body is an error as the Open Inference Protocol has it."""
    body = json.dumps({"error": message}).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Retry-After: {retry_after_seconds}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


class _Once:
    """Says one thing and then nothing."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def receive(self, data: bytes) -> bytes:  # noqa: ARG002  # whatever else comes changes nothing
        answer, self._answer = self._answer, b""
        return answer
