"""So much of HTTP/2 as it takes to refuse: each stream is answered at once with headers that end it.

A server's first frame is SETTINGS, and clients wait for it before they send a request; so the refusal begins with it
and goes on for as long as the connection is left open. Frames are RFC 9113's; header blocks are written without
Huffman and without the table, which every decoder reads.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
UNAVAILABLE: Final = 14
"""gRPC's status for: try again later, perhaps elsewhere."""
_HEADERS: Final = 0x1
_SETTINGS: Final = 0x4
_PING: Final = 0x6
_ACK: Final = 0x1
_END: Final = 0x1 | 0x4
"""END_STREAM and END_HEADERS."""
_FRAME_HEADER: Final = 9
_STATUS_503: Final = b"\x08\x03503"
"""`:status` by its place in the static table, with a value of our own."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


class Refuser:
    """Refuses every stream of one connection, without I/O."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        self._block = _STATUS_503 + b"".join(
            _header(name, value)
            for name, value in (
                ("content-type", "application/grpc"),
                ("grpc-status", str(UNAVAILABLE)),
                ("grpc-message", quote(message, safe=" :,.;'()/")),
                ("retry-after", str(retry_after_seconds)),
            )
        )
        self._rest = b""
        self._preface_left = len(PREFACE)
        self._skip = 0
        self._greeted = False

    def receive(self, data: bytes) -> bytes:
        """Take what came, in pieces of any size, and return the answer."""
        answer = [] if self._greeted else [frame(_SETTINGS, 0, 0)]
        self._greeted = True
        cut = min(self._preface_left, len(data))
        self._preface_left -= cut
        self._rest += data[cut:]
        while (reply := self._next()) is not None:
            answer.append(reply)
        return b"".join(answer)

    def _next(self) -> bytes | None:
        """Return the answer to the next whole frame; None when more has to come."""
        skipped = min(self._skip, len(self._rest))
        self._skip -= skipped
        self._rest = self._rest[skipped:]
        if self._skip or len(self._rest) < _FRAME_HEADER:
            return None
        length, kind, flags = int.from_bytes(self._rest[:3]), self._rest[3], self._rest[4]
        stream = int.from_bytes(self._rest[5:9]) & 0x7FFFFFFF
        if kind == _PING:
            if len(self._rest) < _FRAME_HEADER + 8:
                return None
            payload = self._rest[_FRAME_HEADER : _FRAME_HEADER + 8]
            self._skip = _FRAME_HEADER + length
            return b"" if flags & _ACK else frame(_PING, _ACK, 0, payload)
        self._skip = _FRAME_HEADER + length
        if kind == _SETTINGS and not flags & _ACK:
            return frame(_SETTINGS, _ACK, 0)
        return frame(_HEADERS, _END, stream, self._block) if kind == _HEADERS else b""


def _header(name: str, value: str) -> bytes:
    """Return one header, literal and not to be remembered; lengths stay under 127."""
    text = value.encode()[:126]
    return b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(text),)) + text
