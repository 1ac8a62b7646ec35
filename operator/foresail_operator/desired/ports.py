"""Which ports of the activator belong to which model: each has a pair of its own for as long as it lives.

What the slices carry is the record; this only remembers it, so that no two models are given the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from foresail_operator.desired import digests
from foresail_operator.desired.activator import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

Key: TypeAlias = tuple[str, str]


class NoPortsLeftError(Exception):
    """More models want to be held for than there are ports."""


class Ports:
    """The pairs in use."""

    def __init__(self) -> None:
        self._of: dict[Key, int] = {}
        self._by: dict[int, Key] = {}
        self._learned = False

    def forget(self) -> None:
        """Know nothing again: another process may have given pairs out meanwhile."""
        self._of.clear()
        self._by.clear()
        self._learned = False

    def learn(self, recorded: Callable[[], dict[Key, int]]) -> None:
        """Take in what slices carry, once until it is forgotten, before the first pair is given out."""
        if not self._learned:
            self._learned = True
            for key, pair in recorded().items():
                self.take(key, pair)

    def take(self, key: Key, recorded: int | None) -> int:
        """Return a model's pair: the recorded one unless another model has it, else a free one.

        The search begins at a place of the name's own, so that a model that is made again finds its old ports.
        """
        if recorded is not None and self._by.get(recorded, key) == key:
            return self._give(key, recorded)
        if key in self._of:
            return self._of[key]
        first = int(digests.short("/".join(key), 8), 16) % MODELS
        for step in range(MODELS):
            pair = (first + step) % MODELS
            if pair not in self._by:
                return self._give(key, pair)
        raise NoPortsLeftError(f"{MODELS} models have ports of the activator, which are all there are")

    def free(self, key: Key) -> None:
        """Give a model's pair back."""
        if (pair := self._of.pop(key, None)) is not None:
            del self._by[pair]

    def _give(self, key: Key, pair: int) -> int:
        self.free(key)
        self._of[key], self._by[pair] = pair, key
        return pair
