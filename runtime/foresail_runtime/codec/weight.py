"""How much memory a JSON text takes while it is parsed and made arrays of, told by its bytes alone.

A list of a few bytes becomes an object of a hundred: text that packs to kilobytes parses to gigabytes. So what is
long is weighed before it is parsed. The numbers are those of orjson on CPython: a node of 16 bytes for each value, then
the object, a place for it in its list, and the copies on the way to an array; measured, and rounded up.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from foresail_runtime import errors

_COSTS: Final = ((ord(","), 56), (ord("["), 104), (ord("{"), 160), (ord('"'), 40))
"""What each of these stands for: an element, a list, an object, half a string."""
_ASCII: Final = 2
"""The text itself, and once more as strings."""
_OTHER: Final = 6
"""One character beyond Latin makes four bytes of each in its string."""
_PIECE: Final = 2**16
"""So much is looked at a time: it stays in the processor's cache."""


def weigh(text: bytes) -> int:
    """Return about how many bytes it takes; more than it does where structure stands within strings."""
    found = np.frombuffer(text, np.uint8)
    size = len(text) * (_ASCII if text.isascii() else _OTHER)
    for start in range(0, len(text), _PIECE):
        piece = found[start : start + _PIECE]
        for letter, cost in _COSTS:
            size += cost * int(np.count_nonzero(piece == letter))
    return size


def check(text: bytes, most: int, instead: str) -> int:
    """Return how many bytes it takes, `most` at most; `instead` is what to send in place of more.

    Raises:
        TooLarge: It does.
    """
    size = weigh(text)
    if size > most:
        raise errors.TooLarge(
            f"the JSON of {len(text)} bytes would take some {size} while it is read, over the limit of {most} bytes "
            f"(FORESAIL_MAX_PARSED_BYTES): {instead}"
        )
    return size
