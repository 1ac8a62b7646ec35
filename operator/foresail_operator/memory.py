"""Gives memory back that nobody uses any more.

What is read of the API server is large and short-lived: pages of objects, a burst of events. The C library keeps what
such things leave behind for the next ones, and gives back of it only what lies at the end of its heap.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS: Final = 5.0
"""How often; it takes a millisecond or two."""


def release() -> None:
    """Give back whole pages that nothing lies in."""
    _trim(0)


async def keep_small() -> None:
    """Release again and again, until cancelled."""
    while True:
        await asyncio.sleep(_SECONDS)
        release()


def _find() -> Callable[[int], object]:
    """Return the C library's own way, which glibc has; elsewhere, nothing is done."""
    found: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found or bool


_trim: Final = _find()
