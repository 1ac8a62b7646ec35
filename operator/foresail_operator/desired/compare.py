"""Whether a live object already is what we want, so that steady state writes nothing.

The rule: every value that we state is there in the live object. What the server filled in and what others added
beside ours does not count. That alone would miss a field that we no longer state; but the digest of all that we
want stands in an annotation, which is one of the values that we state, so such a change shows there.

Lists that the API merges by a key are compared by it, so that an injected container or variable is no
difference; every other list, and every map that the API treats as one value, is compared whole. Quantities
are compared as numbers, since the server writes 1000m as 1.
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
_IDENTITY: Final = frozenset({"apiVersion", "kind"})
_QUANTITIES: Final = frozenset({"limits", "requests"})
_QUANTITY_FIELDS: Final = frozenset({"averageValue", "value", "sizeLimit"})


def matches(live: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Tell whether a live object is as wanted; both are of the same kind."""
    return all(contains(live.get(name), value, name) for name, value in wanted.items() if name not in _IDENTITY)


def contains(live: Any, wanted: Any, field: str = "", parent: str = "") -> bool:
    """Tell whether the live value has all that is wanted; `field` is its name, `parent` the name of what holds it."""
    if isinstance(wanted, dict):
        return _contains_map(live, wanted, field)
    if isinstance(wanted, list):
        return _contains_list(live, wanted, field)
    if live == wanted:
        return type(live) is type(wanted) or not isinstance(wanted, bool)
    if wanted == "" and live is None:
        return True
    return (parent in _QUANTITIES or field in _QUANTITY_FIELDS) and _same_quantity(live, wanted)


def _contains_map(live: Any, wanted: dict[str, Any], field: str) -> bool:
    if not isinstance(live, dict):
        return live is None and not wanted
    if field in _WHOLE_MAPS and live.keys() != wanted.keys():
        return False
    return all(contains(live.get(name), value, name, field) for name, value in wanted.items())


def _contains_list(live: Any, wanted: list[Any], field: str) -> bool:
    if not isinstance(live, list):
        return live is None and not wanted
    if (keys := _MERGE_KEYS.get(field)) is not None:
        by_key = {tuple(item.get(key) for key in keys): item for item in live}
        return all(contains(by_key.get(tuple(item.get(key) for key in keys)), item) for item in wanted)
    return len(live) == len(wanted) and all(map(contains, live, wanted))


def _same_quantity(live: Any, wanted: Any) -> bool:
    try:
        return quantities.parse(str(live)) == quantities.parse(str(wanted))
    except ValueError:
        return False
