"""How long a client has taken nothing of what is sent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foresail_runtime.web import kernel

if TYPE_CHECKING:
    import asyncio


class Untaken:
    """What was left of one connection's answers when that was last seen to change, and when."""

    __slots__ = ("_left", "_moved")

    def __init__(self, now: float) -> None:
        self._left = 0
        self._moved = now

    def since(self, transport: asyncio.Transport, now: float) -> float:
        """Return for how many seconds nothing was taken, as far as was looked; 0 where nothing is left."""
        left = _bytes(transport)
        if left == 0 or left != self._left:
            self._left, self._moved = left, now
        return now - self._moved


def _bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes are left, the kernel's too; 0 where none is ours, which transports of TLS don't tell.

    The kernel asks for more only once a third of what it holds is gone, a megabyte as a rule: ours alone stands still
    for as long as a slow client takes over that.
    """
    left = transport.get_write_buffer_size()
    if left == 0 and transport.get_extra_info("sslcontext") is None:
        return 0
    return left + kernel.untaken(transport)
