"""The keys that wait for a look, in order: three newcomers for each other key, as long as there are both.

A newcomer has not been carried out before. When many models are applied at once, each first look makes six children,
whose changes ask for more looks, which mostly find nothing to write: in plain order these take their turns from models
that have nothing yet. The share of the others keeps repairs going meanwhile.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.live import Key

NEWCOMERS_IN_A_ROW: Final = 3


class Line:
    """Keys with the time since when they wait; a key stands in it once."""

    def __init__(self, newcomer: Callable[[Key], bool]) -> None:
        self._newcomer = newcomer
        self._newcomers: collections.OrderedDict[Key, float] = collections.OrderedDict()
        self._others: collections.OrderedDict[Key, float] = collections.OrderedDict()
        self._in_a_row = 0

    def __len__(self) -> int:
        return len(self._newcomers) + len(self._others)

    @property
    def newcomers(self) -> int:
        """How many newcomers wait."""
        return len(self._newcomers)

    def add(self, key: Key, since: float) -> None:
        """Put a key at the end; one that waits keeps its place."""
        if key not in self._newcomers and key not in self._others:
            (self._newcomers if self._newcomer(key) else self._others)[key] = since

    def take(self) -> tuple[Key, float]:
        """Take out the key whose turn it is; raises KeyError where none waits."""
        newcomer = bool(self._newcomers) and (not self._others or self._in_a_row < NEWCOMERS_IN_A_ROW)
        self._in_a_row = self._in_a_row + 1 if newcomer else 0
        return (self._newcomers if newcomer else self._others).popitem(last=False)

    def oldest(self) -> float | None:
        """Return since when the key waits that waits longest."""
        heads = (next(iter(lane.values()), None) for lane in (self._newcomers, self._others))
        return min((since for since in heads if since is not None), default=None)
