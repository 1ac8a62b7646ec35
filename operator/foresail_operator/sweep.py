"""Compares what the watches have shown with what is there, so that a missed event costs one sweep and no more.

kopf lists again after a broken watch, and says nothing of what was deleted in between; and a watch that stays open
and silent says nothing at all. A sweep lists metadata only, in pages. At the start it also tells when the watches
have shown all there is: until then nobody may conclude that a child is missing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_operator.api import kinds
from foresail_operator.desired import activator, meta

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Kind
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.observe import Cache

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
    """List a kind and compare."""
    known_before = frozenset(cache.uids(kind))
    there: dict[str, int] = {}
    for namespace in namespaces or (None,):
        async for metadata in kube.metadata(kind, namespace, selector(kind)):
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
