"""One kept HTTP/1.1 connection to a pod that is asked the same tiny question again and again.

Written on the bare transport: with a client library each question costs ten times as much, and there are thousands.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_BYTES: Final = 65_536
"""No answer is longer; a peer that sends more is no runtime."""
_HEAD_END: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 "
_LENGTH: Final = b"\r\ncontent-length:"


class AnswerError(ValueError):
    """What came is not an answer to our question."""


class Connection(asyncio.Protocol):
    """Asks when told to, hands whole bodies over, and says when it is over."""

    def __init__(self, question: bytes, answered: Callable[[bytes], None], lost: Callable[[Connection], None]) -> None:
        self._question = question
        self._answered = answered
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.asked_at: float | None = None
        """When the question was asked that waits for its answer; None while none does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def ask(self, now: float) -> None:
        """Send the question, unless one is still waiting for its answer."""
        if self._transport is not None and self.asked_at is None:
            self.asked_at = now
            self._transport.write(self._question)

    def data_received(self, data: bytes) -> None:
        """Put the pieces together; anything unexpected ends the connection."""
        self._buffer = self._buffer + data if self._buffer else data
        try:
            body = take_body(self._buffer)
        except AnswerError:
            self.close()
            return
        if body is None:
            return
        self._buffer = b""  # one question at a time: nothing can follow an answer
        if self.asked_at is not None:
            self.asked_at = None
            self._answered(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, who may connect again."""
        del exc
        self._transport = None
        self._lost(self)

    def close(self) -> None:
        """End the connection without waiting for what is still to be sent."""
        if self._transport is not None:
            self._transport.abort()


def take_body(data: bytes) -> bytes | None:
    """Return the body of a whole 200 answer, None while it is incomplete.

    Raises:
        AnswerError: Another status, no length, or too much.
    """
    end = data.find(_HEAD_END)
    if end < 0 or len(data) > LIMIT_BYTES:
        if len(data) > LIMIT_BYTES:
            raise AnswerError(f"more than {LIMIT_BYTES} bytes")
        return None
    if not data.startswith(_OK):
        raise AnswerError(f"not a 200: {data[:40]!r}")
    start = end + len(_HEAD_END)
    length = _content_length(data[: end + 2])
    if length > LIMIT_BYTES or len(data) > start + length:
        raise AnswerError(f"{length} bytes promised, {len(data) - start} came")
    return data[start:] if len(data) == start + length else None


def _content_length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    if at < 0:
        raise AnswerError("an answer without Content-Length")
    at += len(_LENGTH)
    digits = head[at : head.index(b"\r\n", at)].strip()
    if not digits.isdigit():
        raise AnswerError(f"Content-Length: {digits!r}")
    return int(digits)
