"""What the watches have shown: the one place where a look gets its facts, at no cost for the API server.

Events of different objects come in any order, and our own writes are answered before their event arrives; so a
version that is not newer than the last one known is left out, of deleted objects too. What no watch told is
found by `sweep`.
"""

from __future__ import annotations

import collections
import dataclasses
import sys
from typing import TYPE_CHECKING, Any, Final

from foresail_operator import live
from foresail_operator.api import kinds
from foresail_operator.status import pods

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foresail_operator.api.kinds import Kind
    from foresail_operator.live import Key, Live
    from foresail_operator.status.pods import Pod

_REMEMBERED_DELETIONS: Final = 4096


@dataclasses.dataclass(slots=True)
class _Entry:
    """What is known under one key."""

    model: Live | None = None
    children: dict[tuple[str, str], Live] = dataclasses.field(default_factory=dict)
    pods: dict[str, Pod] = dataclasses.field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return self.model is None and not self.children and not self.pods


@dataclasses.dataclass(frozen=True, slots=True)
class Observed:
    """What is there for one key at one moment."""

    model: Live | None
    children: dict[tuple[str, str], Live]
    """By kind and name."""
    pods: tuple[Pod, ...]
    """Its replicas."""
    proxies: tuple[Pod, ...] = ()

    def of(self, kind: Kind, name: str) -> Live | None:
        """Return one child."""
        return self.children.get((kind.name, name))


class Cache:
    """The last seen state of every ModelDeployment, its children and its pods."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._keys: dict[str, tuple[Key, str, str]] = {}
        """Key, kind and name by uid."""
        self._gone: collections.OrderedDict[str, int] = collections.OrderedDict()
        """The last version of deleted objects. One whose label was taken off is deleted for a watch, and comes back
        with a newer version once it has its label again."""

    def observe(self, key: Key) -> Observed:
        """Return what is known of a key."""
        entry = self._entries.get(key) or _Entry()
        pods = tuple(entry.pods.values())
        if not any(pod.proxy for pod in pods):  # most models
            return Observed(entry.model, dict(entry.children), pods)
        replicas, proxies = (tuple(pod for pod in pods if pod.proxy is proxy) for proxy in (False, True))
        return Observed(entry.model, dict(entry.children), replicas, proxies)

    def model(self, key: Key) -> Live | None:
        """Return a ModelDeployment; None when it is not known."""
        entry = self._entries.get(key)
        return entry.model if entry else None

    def models(self) -> list[Key]:
        """Return the keys of all ModelDeployments."""
        return [key for key, entry in self._entries.items() if entry.model is not None]

    def conditions(self) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Yield each condition of every ModelDeployment."""
        for key, entry in self._entries.items():
            for one in entry.model.conditions() if entry.model else ():
                yield key, one

    def pods(self) -> Iterator[tuple[Key, Pod]]:
        """Yield every pod with the ModelDeployment that it belongs to."""
        for key, entry in self._entries.items():
            for pod in entry.pods.values():
                yield key, pod

    def version(self, uid: str) -> int | None:
        """Return the last seen version of an object; None when it is not known."""
        if (found := self._keys.get(uid)) is None:
            return None
        item = self._item(*found)
        return item.version if item is not None and item.uid == uid else None

    def key_of(self, uid: str) -> Key | None:
        """Return the ModelDeployment that a known object belongs to."""
        found = self._keys.get(uid)
        return found[0] if found else None

    def uids(self, kind: Kind, namespace: str | None = None) -> list[str]:
        """Return the uids of all known objects of a kind, in one namespace or all."""
        return [
            uid
            for uid, (key, name, _) in self._keys.items()
            if name == kind.name and (namespace is None or key[0] == namespace)
        ]

    def deleted(self, uid: str) -> bool:
        """Tell whether an object is known to have been deleted lately."""
        return uid in self._gone

    def note(self, kind: Kind, raw: dict[str, Any]) -> tuple[Key, ...]:
        """Take in an object as a watch or a write's answer showed it; return its key if anything read changed.

        One that belongs to another model than before is taken from that one, whose key is returned as well.
        """
        metadata = raw["metadata"]
        uid, version = metadata["uid"], int(metadata["resourceVersion"])
        key = live.key_of(metadata, kind)
        if version <= self._gone.get(uid, 0):
            return ()
        left: tuple[Key, ...] = ()
        if (before := self.key_of(uid)) is not None and before != key:
            if version <= (self.version(uid) or 0):
                return ()
            self.forget(uid, version)
            left = (before,)
        if key is None:
            return left
        new: Live | Pod = pods.read(raw) if kind is kinds.POD else live.trim(raw)
        old = self._item(key, kind.name, metadata["name"])
        if old is not None and old.version >= version:
            return left
        self._gone.pop(uid, None)
        self._put(key, kind.name, metadata["name"], new, old)
        return left if new.same(old) else (*left, key)  # type: ignore[arg-type]  # both are of the kind's class

    def forget(self, uid: str, version: int = 0) -> Key | None:
        """Take out a deleted object; return its key if it was known. A newer object of its name stays.

        `version` is that of the deletion, where it is known.
        """
        self._gone[uid] = max(version, self.version(uid) or self._gone.get(uid) or 0) or sys.maxsize
        if len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)
        if (found := self._keys.pop(uid, None)) is None:
            return None
        key, kind, name = found
        item = self._item(key, kind, name)
        if item is not None and item.uid == uid:
            self._take(key, kind, name)
        return key

    def _item(self, key: Key, kind: str, name: str) -> Live | Pod | None:
        if (entry := self._entries.get(key)) is None:
            return None
        if kind == kinds.MODEL_DEPLOYMENT.name:
            return entry.model
        return entry.pods.get(name) if kind == kinds.POD.name else entry.children.get((kind, name))

    def _put(self, key: Key, kind: str, name: str, new: Live | Pod, old: Live | Pod | None) -> None:
        if old is not None and old.uid != new.uid:
            self._keys.pop(old.uid, None)
        self._keys[new.uid] = (key, kind, name)
        entry = self._entries.setdefault(key, _Entry())
        if isinstance(new, pods.Pod):
            entry.pods[name] = new
        elif kind == kinds.MODEL_DEPLOYMENT.name:
            entry.model = new
        else:
            entry.children[kind, name] = new

    def _take(self, key: Key, kind: str, name: str) -> None:
        entry = self._entries[key]
        if kind == kinds.MODEL_DEPLOYMENT.name:
            entry.model = None
        elif kind == kinds.POD.name:
            del entry.pods[name]
        else:
            del entry.children[kind, name]
        if entry.empty:
            del self._entries[key]
