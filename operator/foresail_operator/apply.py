"""Makes one child what it should be: creates it, leaves it, repairs it, or says whose it is."""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, Final

from foresail_operator import errors, live
from foresail_operator.api import kinds, v1alpha1
from foresail_operator.api.conditions import Reason
from foresail_operator.desired import compare, contest, meta, ownership
from foresail_operator.status.facts import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.kinds import Kind, Manifest
    from foresail_operator.desired.contest import Repairs
    from foresail_operator.kube import Kube
    from foresail_operator.live import Live
    from foresail_operator.observe import Cache


_LOG: Final = logging.getLogger(__name__)


class Belongs(enum.Enum):
    """Whose a live object is."""

    TO_US = enum.auto()
    TO_A_PREDECESSOR = enum.auto()
    """To a deleted ModelDeployment of the same name: the garbage collector takes it away."""
    TO_SOMEONE_ELSE = enum.auto()


def belongs(body: dict[str, Any], owner: dict[str, Any]) -> Belongs:
    """Tell whose a live object is; `owner` is the reference that ours carry.

    What we made and `kubectl delete --cascade=orphan` left without a controller is ours again, so that a
    ModelDeployment can be taken away and put back under running pods.
    """
    if live.owned(body["metadata"], owner["name"], owner["uid"]):
        return Belongs.TO_US
    found = live.controller(body["metadata"])
    if found is None or found["kind"] != owner["kind"] or found["name"] != owner["name"]:
        return Belongs.TO_SOMEONE_ELSE
    return Belongs.TO_A_PREDECESSOR


class Applier:
    """Writes children; remembers what the server made of each write, so that a mutating webhook starts no war."""

    def __init__(self, kube: Kube, cache: Cache, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._cache = cache
        self._clock = clock
        self._accepted: dict[str, tuple[str, int]] = {}
        """By uid: the digest of what is wanted, and the hash of the live body that was found or made to be it."""
        self._repairs: dict[str, tuple[Repairs, Problem | None]] = {}
        """By uid, also of what a label taken off makes look deleted; and who writes it as well. The latest is last."""

    async def ensure(self, wanted: Manifest, seen: Live | None) -> Problem | None:
        """Make the child what is wanted; return why that can't be, if it can't."""
        kind = kinds.BY_NAME[wanted["kind"]]
        owner = wanted["metadata"]["ownerReferences"][0]
        if seen is None:
            return await self._create(kind, wanted, owner)
        if self._accepted.get(seen.uid) == (_digest(wanted), hash(seen.body)):
            return self._contested(wanted, seen.uid)
        body = seen.read()
        if "deletionTimestamp" in body["metadata"]:
            return Problem(Reason.WAITING_FOR_REMOVAL, f"{_being_removed(wanted, body)} and will be made again")
        if belongs(body, owner) is not Belongs.TO_US:
            return _foreign(wanted, body, owner)
        path = compare.difference(body, wanted)
        if path is None:
            self._accept(wanted, seen)
            return self._contested(wanted, seen.uid)
        return await self._put_right(kind, wanted, seen, path)

    def forget(self, uid: str) -> None:
        """Drop what is remembered of an object that is gone."""
        self._accepted.pop(uid, None)

    async def _create(self, kind: Kind, wanted: Manifest, owner: dict[str, Any]) -> Problem | None:
        try:
            answer = await self._kube.create_by_apply(kind, wanted)
        except errors.Conflict:
            return await self._meet(kind, wanted, owner)
        self._cache.note(kind, answer)
        self._accept(wanted, live.trim(answer))
        return None

    async def _meet(self, kind: Kind, wanted: Manifest, owner: dict[str, Any]) -> Problem | None:
        """Look at what already has the name: someone else's, or ours whose label was taken off or event is late."""
        raw = await self._kube.get(kind, wanted["metadata"]["namespace"], wanted["metadata"]["name"])
        if "deletionTimestamp" in raw["metadata"] or belongs(raw, owner) is not Belongs.TO_US:
            return _foreign(wanted, raw, owner)
        seen = live.trim(raw)
        if (path := compare.difference(seen.read(), wanted)) is not None:
            return await self._put_right(kind, wanted, seen, path)
        self._cache.note(kind, raw)
        return None

    async def _put_right(self, kind: Kind, wanted: Manifest, seen: Live, path: str) -> Problem | None:
        """Repair a child, unless that has to wait as somebody else undoes it again and again; then say who."""
        now, digest = self._clock(), _digest(wanted)
        before, rival = self._repairs.get(seen.uid, (None, None))
        if before is not None and contest.has_to_wait(before, digest, now):
            return rival
        repairs = contest.repaired(before, digest, path, now)
        contested = contest.is_contested(repairs, digest, now)
        rival = await self._name_rival(kind, wanted, path) if contested else None
        if kind is kinds.DEPLOYMENT and seen.owns_size and "replicas" not in wanted["spec"]:
            await self._hand_over_size(wanted, seen)
        if not await self._repair(kind, wanted, seen, path):
            return None
        self._remember(seen.uid, repairs, rival, now)
        return rival

    def _remember(self, uid: str, repairs: Repairs, rival: Problem | None, now: float) -> None:
        """Remember the repairs of an object, and no longer those that do not count any more."""
        self._repairs.pop(uid, None)
        self._repairs[uid] = repairs, rival
        while contest.is_over(self._repairs[oldest := next(iter(self._repairs))][0], now):
            del self._repairs[oldest]

    def _contested(self, wanted: Manifest, uid: str) -> Problem | None:
        """Return who writes a child as well; None when nobody does, or not any more."""
        repairs, rival = self._repairs.get(uid, (None, None))
        contested = repairs is not None and contest.is_contested(repairs, _digest(wanted), self._clock())
        return rival if contested else None

    async def _name_rival(self, kind: Kind, wanted: Manifest, path: str) -> Problem:
        raw = await self._kube.get(kind, wanted["metadata"]["namespace"], wanted["metadata"]["name"])
        words = f"{_call(wanted)}: {path} is changed again and again{ownership.rival(raw['metadata'])}"
        pause = f"and put right every {contest.PAUSE_SECONDS:g} seconds"
        return Problem(Reason.CONTESTED, f"{words}, {pause}. {Reason.CONTESTED.remedy}", there=_call(wanted))

    async def _repair(self, kind: Kind, wanted: Manifest, seen: Live, path: str) -> bool:
        """Write a child; tell whether that changed it, as it does not where a webhook has its own view of a field."""
        _LOG.info("changing a child", extra={"child": _call(wanted), "field": path})
        if ownership.doubled(seen.read(), wanted) and await self._take_over(kind, wanted, seen.uid):
            _LOG.info("took over what others wrote", extra={"child": _call(wanted), "because": "it has our ports"})
        try:
            answer = await self._kube.apply(kind, wanted, seen.uid)
        except errors.Refused as error:
            if error.status != 422 or await self._is_invalid(kind, wanted):
                raise
            if not await self._take_over(kind, wanted, seen.uid):
                raise
            _LOG.info("took over what others wrote", extra={"child": _call(wanted), "because": error.message})
            answer = await self._kube.apply(kind, wanted, seen.uid)
        made = live.trim(answer)
        self._cache.note(kind, answer)
        self._accept(wanted, made)
        return made.body != seen.body

    async def _is_invalid(self, kind: Kind, wanted: Manifest) -> bool:
        """Tell whether what is wanted is refused by itself: then nothing that others put beside it is in the way."""
        try:
            await self._kube.check(kind, wanted)
        except errors.Refused as error:
            return error.status == 422
        return False

    async def _take_over(self, kind: Kind, wanted: Manifest, uid: str) -> bool:
        """Let fields that others wrote count as ours, so that an apply takes them away; tell whether there were any."""
        raw = await self._kube.get(kind, wanted["metadata"]["namespace"], wanted["metadata"]["name"])
        metadata = raw["metadata"]
        entries = ownership.taken_over(metadata.get("managedFields") or [])
        if entries is None or metadata["uid"] != uid:
            return False
        await self._kube.set_managers(kind, metadata, entries)
        return True

    def _accept(self, wanted: Manifest, found: Live) -> None:
        """Remember that this body is as wanted: it matched, or it is what the server made of our write."""
        self._accepted[found.uid] = (_digest(wanted), hash(found.body))

    async def _hand_over_size(self, wanted: Manifest, seen: Live) -> None:
        """Let another field manager hold the size before ours lets go of it, or the server would reset it to 1."""
        metadata = {name: wanted["metadata"][name] for name in ("name", "namespace")}
        size = {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"], "metadata": metadata}
        size |= {"spec": {"replicas": seen.read()["spec"]["replicas"]}}
        await self._kube.apply(kinds.DEPLOYMENT, size, seen.uid, manager=meta.SIZE_MANAGER)


def _digest(wanted: Manifest) -> str:
    digest: str = wanted["metadata"]["annotations"][meta.APPLIED_ANNOTATION]
    return digest


def _foreign(wanted: Manifest, body: dict[str, Any], owner: dict[str, Any]) -> Problem:
    if belongs(body, owner) is not Belongs.TO_SOMEONE_ELSE:
        return Problem(Reason.WAITING_FOR_REMOVAL, f"{_being_removed(wanted, body)}; it is the model's predecessor's")
    found = live.controller(body["metadata"])
    whose = f"{found['kind']} {found['name']}" if found else _managers(body["metadata"])
    return Problem(
        Reason.CONFLICT,
        f"{_call(wanted)} is there already and belongs to {whose}; it was not touched. "
        f"Delete or rename it, or give this {v1alpha1.KIND} another name.",
    )


def _being_removed(wanted: Manifest, body: dict[str, Any]) -> str:
    finalizers = ", ".join(body["metadata"].get("finalizers") or ())
    held = f" once its finalizers are gone ({finalizers})" if finalizers else ""
    return f"{_call(wanted)} is being deleted{held}"


def _managers(metadata: dict[str, Any]) -> str:
    managers = sorted({entry["manager"] for entry in metadata.get("managedFields") or () if entry.get("manager")})
    return f"no controller (written by {', '.join(managers)})" if managers else "no controller"


def _call(wanted: Manifest) -> str:
    return f"{wanted['kind']} {wanted['metadata']['name']}"
