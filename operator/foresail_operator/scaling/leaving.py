"""Which pods go first when a model shrinks: those that carry least, by the annotation that a ReplicaSet reads.

A ReplicaSet that shrinks takes ready pods with a lower deletion cost first; without the annotation it is 0. It is a
write for each pod, so it comes only when a scale-in is near:

| the size | our costs |
|---|---|
| will be lowered within AHEAD_SECONDS | are given to who is to go, the least loaded the lowest, and taken from others |
| is still to be lowered, loads change | the same again, after pauses that double: 5 s, 10 s … 60 s |
| is kept after all | are taken away, once it has been kept for KEPT_SECONDS |

Loads are compared in whole requests, and pods with equal loads have equal costs: among them Kubernetes chooses as
ever, by their nodes. Where all carry the same nothing is written. A pod that does not say what it carries is not
chosen, and a cost that someone else gave is left alone, with its pod.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AHEAD_SECONDS: Final = 5.0
"""How far a scale-in is foreseen: longer than a write takes, too short for the loads to be others."""
SURE_SECONDS: Final = 1.0
"""So long it must have been foreseen: a dip of the load between two looks is none."""
KEPT_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 60.0
LOWEST: Final = -2_000_000_000
HIGHEST: Final = LOWEST + 100_000
"""Our costs lie between the two, so that a look at a pod tells whose its cost is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A ready pod."""

    uid: str
    name: str
    cost: int | None = None
    """What its annotation says; None: it has none."""

    @property
    def ours(self) -> bool:
        """Whether the cost is one that we gave."""
        return self.cost is not None and LOWEST <= self.cost < HIGHEST


def costs(loads: Mapping[str, float], leaving: int) -> dict[str, int]:
    """Return the costs by which the `leaving` least loaded go first; of pods that are to stay there are none."""
    whole = {uid: round(load) for uid, load in loads.items()}
    if not 0 < leaving < len(whole):
        return {}
    ordered = sorted(whole.values())
    last, busiest = ordered[leaving - 1], ordered[-1]
    levels = {load for load in ordered if load <= last and load < busiest}  # the busiest go last without a cost
    ranks = {load: rank for rank, load in enumerate(sorted(levels))}
    return {uid: LOWEST + ranks[load] for uid, load in whole.items() if load in ranks}


@dataclasses.dataclass(slots=True)
class _Episode:
    """A scale-in that is near, or what is left of it."""

    write_at: float
    pause_seconds: float = FIRST_PAUSE_SECONDS
    kept_since: float | None = None


class Leaving:
    """Remembers for one model when costs were written last; says which to write now."""

    def __init__(self) -> None:
        self._episode: _Episode | None = None

    def look(
        self, leaving: int, candidates: Iterable[Candidate], loads: Mapping[str, float], now: float
    ) -> dict[Candidate, int | None]:
        """Return the costs to write, None for one to take away.

        Args:
            leaving: How many replicas are about to go; 0: none.
            candidates: The ready pods.
            loads: What each of those that answer carries, by uid.
            now: Seconds on any clock that only goes on.
        """
        ours = [one for one in candidates if one.cost is None or one.ours]
        if leaving <= 0:
            return self._tidy(ours, now)
        episode = self._episode or _Episode(write_at=now + SURE_SECONDS)
        self._episode, episode.kept_since = episode, None
        if now < episode.write_at:
            return {}
        wanted = costs({one.uid: loads[one.uid] for one in ours if one.uid in loads}, leaving)
        changes = {one: wanted.get(one.uid) for one in ours if one.cost != wanted.get(one.uid)}
        if changes:
            episode.write_at = now + episode.pause_seconds
            episode.pause_seconds = min(2 * episode.pause_seconds, LONGEST_PAUSE_SECONDS)
        return changes

    def _tidy(self, ours: Iterable[Candidate], now: float) -> dict[Candidate, int | None]:
        marked = [one for one in ours if one.ours]
        if not marked:
            self._episode = None
            return {}
        episode = self._episode = self._episode or _Episode(write_at=now)
        if episode.kept_since is None:
            episode.kept_since = now
        if now < max(episode.kept_since + KEPT_SECONDS, episode.write_at):
            return {}
        episode.write_at = now + FIRST_PAUSE_SECONDS  # the watch shows what was written before that
        return dict.fromkeys(marked)
