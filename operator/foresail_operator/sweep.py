"""Compares what the watches have shown with what is there, so that a missed event costs one sweep and no more.

kopf lists again after a broken watch, and says nothing of what was deleted in between; and a watch that stays open
and silent says nothing at all. A sweep lists metadata only, in pages. At the start it also tells when the watches
have shown all there is: until then nobody may conclude that a child is missing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Final

from foresail_operator import errors, live
from foresail_operator.api import kinds
from foresail_operator.desired import activator, meta

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.kinds import Kind
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.metrics import Metrics
    from foresail_operator.observe import Cache

_LOG: Final = logging.getLogger(__name__)
GRACE_SECONDS: Final = 30.0
"""How long after a sweep the watches may take to show what it found."""
_POLL_SECONDS: Final = 0.05
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
KINDS: Final = (kinds.MODEL_DEPLOYMENT, *kinds.CHILDREN, kinds.POD)


def selector(kind: Kind) -> str:
    """Return the label selector of what is ours of a kind; Kubernetes copies our label to slices of its own."""
    if kind is kinds.ENDPOINT_SLICE:
        return activator.OUR_SLICES
    return "" if kind is kinds.MODEL_DEPLOYMENT else meta.OURS


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """What the cache does not know of a kind: changed objects by uid with their version, and deleted ones."""

    behind: dict[str, int]
    gone: frozenset[str]


def compare(cache: Cache, kind: Kind, there: dict[str, int], known_before: frozenset[str]) -> Difference:
    """Return the difference; `known_before` are the uids that were known before the list was asked for."""
    behind = {
        uid: version for uid, version in there.items() if not cache.deleted(uid) and (cache.version(uid) or 0) < version
    }
    gone = frozenset(uid for uid in cache.uids(kind) if uid in known_before and uid not in there)
    return Difference(behind, gone)


async def look(kube: Kube, cache: Cache, kind: Kind, namespaces: tuple[str, ...]) -> Difference:
    """List a kind and compare; what bears our label and belongs to no model of ours is no watch's to show."""
    known_before = frozenset(cache.uids(kind))
    there: dict[str, int] = {}
    for namespace in namespaces or (None,):
        async for metadata in kube.metadata(kind, namespace, selector(kind)):
            if live.key_of(metadata, kind) is not None:
                there[metadata["uid"]] = int(metadata["resourceVersion"])
    return compare(cache, kind, there, known_before)


def still_behind(cache: Cache, difference: Difference) -> dict[str, int]:
    """Return what the watches have not shown since."""
    return {
        uid: version
        for uid, version in difference.behind.items()
        if not cache.deleted(uid) and (cache.version(uid) or 0) < version
    }


def drop(cache: Cache, difference: Difference) -> set[Key]:
    """Take the deleted ones out of the cache; return the keys to look at."""
    return {key for uid in difference.gone if (key := cache.forget(uid)) is not None}


class Sweeps:
    """Sweeps kind by kind, and remembers whose watch shows too little."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        namespaces: tuple[str, ...],
        *,
        metrics: Metrics,
        found: Callable[[Key], None],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._namespaces = namespaces
        self._metrics = metrics
        self._found = found
        self._grace_seconds = grace_seconds
        self._behind: dict[str, str] = {}

    def behind(self) -> str | None:
        """Return which watch has stopped showing what is there; None while all of them show it."""
        return next(iter(self._behind.values()), None)

    async def sweep(self, looked_at: tuple[Kind, ...]) -> None:
        """Compare these kinds; one that can't be listed is asked for again, after growing pauses."""
        for kind in looked_at:
            await self._shown(kind, await self._look(kind))

    async def _look(self, kind: Kind) -> Difference:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                difference = await look(self._kube, self._cache, kind, self._namespaces)
            except errors.ApiError as error:
                _LOG.warning("a sweep failed", extra={"kind": kind.name, "error": str(error)})
                await asyncio.sleep(max(pause, error.retry_after_seconds or 0.0))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                break
        for key in drop(self._cache, difference):
            self._metrics.missed.labels(kind.name).inc()
            self._found(key)
        return difference

    async def _shown(self, kind: Kind, difference: Difference) -> None:
        """Wait until the watches have shown what a sweep found; what stays unseen makes this process unhealthy."""
        deadline = time.monotonic() + self._grace_seconds
        while left := still_behind(self._cache, difference):
            if time.monotonic() > deadline:
                self._metrics.missed.labels(kind.name).inc(len(left))
                self._behind[kind.name] = f"the watch of {kind.plural} did not show {len(left)} changes"
                _LOG.error("a watch is behind", extra={"kind": kind.name, "changes": len(left)})
                return
            await asyncio.sleep(_POLL_SECONDS)
        self._behind.pop(kind.name, None)
