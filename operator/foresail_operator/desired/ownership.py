"""Whose the fields of a live object are, so that a hand edit can be undone that does not go together with ours.

An apply changes what it states and takes away what the same manager stated before and does not any more. What somebody
else has put beside that stays: another item of a list that is merged by a key, the other member of a union. Where the
two together are no valid object, every apply of ours is refused. Once the fields that others wrote count as stated by
us, the next apply takes them away. (Server-side apply keeps whose a field is in metadata.managedFields, and lets a
client change that.)
"""

from __future__ import annotations

from typing import Any, Final

from foresail_operator.desired import meta

_NOT_CONTENT: Final = frozenset({"f:metadata", "f:status"})
_SIZE: Final = "f:replicas"
"""An autoscaler's, or whoever scales by hand: never ours by the way."""


def taken_over(entries: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return managedFields in which what others wrote into the content is ours; None where they wrote nothing there."""
    kept: list[dict[str, Any]] = []
    taken: dict[str, Any] = {}
    ours: dict[str, Any] | None = None
    for entry in entries:
        if entry.get("manager") == meta.FIELD_MANAGER and entry.get("operation") == "Apply" and not _aside(entry):
            ours = entry
            continue
        mine, theirs = _split(entry)
        taken = _union(taken, mine)
        if theirs:
            kept.append(entry | {"fieldsV1": theirs})
    if ours is None or not taken:
        return None
    return [ours | {"fieldsV1": _union(ours.get("fieldsV1") or {}, taken)}, *kept]


def doubled(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Tell whether a container beside ours has a port of ours: ours under a name that somebody gave it.

    An apply would put ours beside it, and of the two only one could listen.
    """
    ours = _containers(wanted)
    taken = _ports(ours)
    others = (one for one in _containers(found) if one["name"] not in {mine["name"] for mine in ours})
    return any(not taken.isdisjoint(_ports([one])) for one in others)


def rival(metadata: dict[str, Any]) -> str:
    """Return, as the end of a sentence, who but us wrote an object last, and by which of its subresources."""
    others = [
        entry
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") not in {meta.FIELD_MANAGER, meta.SIZE_MANAGER} and entry.get("subresource") != "status"
    ]
    last = max(others, key=lambda entry: entry.get("time") or "", default=None)
    if last is None:
        return ""
    way = f" (through its {last['subresource']})" if last.get("subresource") else ""
    return f" by {last.get('manager')}{way}"


def _containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    template: dict[str, Any] = manifest.get("spec", {}).get("template") or {}
    return template.get("spec", {}).get("containers") or []


def _ports(containers: list[dict[str, Any]]) -> set[int]:
    return {port["containerPort"] for one in containers for port in one.get("ports") or ()}


def _aside(entry: dict[str, Any]) -> bool:
    """Tell whether an entry is of a subresource, or our own of the size."""
    return bool(entry.get("subresource")) or entry.get("manager") == meta.SIZE_MANAGER


def _split(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields to take from an entry, and those that stay with it."""
    fields: dict[str, Any] = entry.get("fieldsV1") or {}
    if _aside(entry):
        return {}, fields
    taken = {name: value for name, value in fields.items() if name not in _NOT_CONTENT}
    left = {name: value for name, value in fields.items() if name in _NOT_CONTENT}
    spec = taken.get("f:spec")
    if spec and _SIZE in spec:
        left |= {"f:spec": {_SIZE: spec[_SIZE]}}
        taken["f:spec"] = {name: value for name, value in spec.items() if name != _SIZE}
    return {name: value for name, value in taken.items() if value}, left


def _union(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of both."""
    return one | {name: _union(one.get(name) or {}, value) for name, value in other.items()}
