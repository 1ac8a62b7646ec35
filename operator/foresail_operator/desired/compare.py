"""Whether a live object already is what we want, so that steady state writes nothing.

The rule: every value that we state is there in the live object. What the server filled in and what others added
beside ours does not count. That alone would miss a field that we no longer state; but the digest of all that we
want stands in an annotation, which is one of the values that we state, so such a change shows there.

Lists that the API merges by a key are compared by it, so that an injected container or variable is no
difference; every other list, and every map that the API treats as one value, is compared whole. Quantities
are compared as numbers, since the server writes 1000m as 1, and 0.0001 as 1m.
"""

from __future__ import annotations

from typing import Any, Final

from foresail_operator.desired import quantities

_MERGE_KEYS: Final = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ports": ("name",),
}
_WHOLE_MAPS: Final = frozenset({"nodeSelector", "selector", "matchLabels", "data"})
_KINDS_OF_VOLUME: Final = frozenset({"emptyDir"})
"""Maps that say something by being there, empty as they are."""
_SAID_BY_KEY: Final = frozenset({"labels", "annotations"})
"""Maps in which an empty value is one: what reads them may only ask for the key."""
_IDENTITY: Final = frozenset({"apiVersion", "kind"})
_QUANTITIES: Final = frozenset({"limits", "requests"})
_QUANTITY_FIELDS: Final = frozenset({"averageValue", "value", "sizeLimit"})


def difference(live: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Return the path of the first value that a live object lacks; None when it is as wanted."""
    return next((path for name in wanted if name not in _IDENTITY and (path := _in(live, wanted, name, ""))), None)


def _in(live: dict[str, Any], wanted: dict[str, Any], name: str, parent: str) -> str | None:
    """Compare one field; `parent` is the name of the field that holds its map."""
    path = _value(live.get(name), wanted[name], name, parent)
    return None if path is None else f"{name}{path}"


def _value(live: Any, wanted: Any, field: str, parent: str) -> str | None:
    """Return the path of a difference below a field, "" for the field itself, None when there is none."""
    if isinstance(wanted, dict):
        return _map(live, wanted, field)
    if isinstance(wanted, list):
        return _list(live, wanted, field)
    if live == wanted and isinstance(live, bool) is isinstance(wanted, bool):
        return None
    if wanted == "" and live is None and parent not in _SAID_BY_KEY:
        return None
    is_quantity = parent in _QUANTITIES or field in _QUANTITY_FIELDS
    return None if is_quantity and _same_quantity(live, wanted) else ""


def _map(live: Any, wanted: dict[str, Any], field: str) -> str | None:
    if not isinstance(live, dict):
        return None if live is None and not wanted and field not in _KINDS_OF_VOLUME else ""
    if field in _WHOLE_MAPS and live.keys() != wanted.keys():
        return ""
    return next((f".{path}" for name in wanted if (path := _in(live, wanted, name, field)) is not None), None)


def _list(live: Any, wanted: list[Any], field: str) -> str | None:
    if not isinstance(live, list):
        return None if live is None and not wanted else ""
    keys = _MERGE_KEYS.get(field)
    if keys is None:
        if len(live) != len(wanted):
            return ""
        pairs = list(zip(live, wanted, strict=True))
    else:
        by_key = {tuple(item.get(key) for key in keys): item for item in live}
        pairs = [(by_key.get(tuple(item.get(key) for key in keys)), item) for item in wanted]
    found = ((number, _value(one, other, "", "")) for number, (one, other) in enumerate(pairs))
    return next((f"[{number}]{path}" for number, path in found if path is not None), None)


def _same_quantity(live: Any, wanted: Any) -> bool:
    try:
        return quantities.thousandths(str(live)) == quantities.thousandths(str(wanted))
    except ValueError:
        return False
