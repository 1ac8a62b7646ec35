"""The requests that aiohttp's parser has read whole in front of one that is broken, and keeps to itself.

`feed_data` raises for what is broken, and the requests before it in the same bytes, whose clients wait for answers,
stay in a list that Python has no name for. It is among what the parser refers to.
"""

from __future__ import annotations

import gc
from typing import Any

from aiohttp.http import RawRequestMessage


def take(parser: object) -> list[tuple[RawRequestMessage, Any]]:
    """Return them with their bodies, in order; the parser forgets them. Of one that is no extension type: none."""
    for held in gc.get_referents(parser):
        if isinstance(held, list) and held and isinstance(held[0], tuple) and isinstance(held[0][0], RawRequestMessage):
            whole = [(message, body) for message, body in held if body.is_eof()]
            held.clear()
            return whole
    return []
