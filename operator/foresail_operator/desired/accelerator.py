"""GPUs: what is asked of the scheduler, and which image can use them.

Node labels give a card's memory in MiB, and cards report less than their name says: an 80 GB card 81559 MiB, a
16 GB card with ECC 15109. A wish for memory is therefore met by 92 % of it, which no next smaller card reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from foresail_operator.desired import quantities

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Manifest
    from foresail_operator.api.v1alpha1 import Gpu

PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
TAINT: Final = "nvidia.com/gpu"
_TOLERANCE: Final = 0.92
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def toleration() -> Manifest:
    """Return the toleration of the taint that keeps other pods off GPU nodes."""
    return {"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}


def requirements(gpu: Gpu) -> list[Manifest]:
    """Return what a node's labels must say."""
    result: list[Manifest] = []
    if gpu.product is not None:
        result.append({"key": PRODUCT_LABEL, "operator": "In", "values": [gpu.product]})
    if gpu.memory is not None:
        enough = int(quantities.mebibytes(gpu.memory) * _TOLERANCE)
        result.append({"key": MEMORY_LABEL, "operator": "Gt", "values": [str(enough)]})
    return result


def affinity(own: Manifest | None, gpu: Gpu | None) -> Manifest | None:
    """Return the user's affinity with the card's requirements in each of its required node terms (terms are ORed).

    One of another shape comes back as it is: the API server says what is wrong with it.
    """
    needed = requirements(gpu) if gpu else []
    if not needed:
        return own
    own = own or {}
    node = own.get("nodeAffinity") or {}
    required = node.get(_REQUIRED) or {} if isinstance(node, dict) else None
    given = required.get("nodeSelectorTerms") or [{}] if isinstance(required, dict) else None
    if not isinstance(given, list) or not all(map(_is_term, given)):
        return own
    terms = [term | {"matchExpressions": [*(term.get("matchExpressions") or ()), *needed]} for term in given]
    return own | {"nodeAffinity": node | {_REQUIRED: {"nodeSelectorTerms": terms}}}


def _is_term(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("matchExpressions") or [], list)


def asked(pod: Manifest, container: str) -> str:
    """Return in a sentence which cards a pod's spec asks the scheduler for; empty when it asks for none."""
    ours = (one for one in pod["containers"] if one["name"] == container)
    limits: Manifest = next((one.get("resources", {}).get("limits", {}) for one in ours), {})
    cards = [f"{amount} {name}" for name, amount in limits.items() if "/" in name]
    if not cards:
        return ""
    labels = [_say(wish) for wish in _wishes(pod)]
    return f"The pod asks for {', '.join(cards)}{' on a node with ' if labels else ''}{' and '.join(labels)}."


def _wishes(pod: Manifest) -> list[Manifest]:
    node = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (node.get(_REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
    found = terms[0].get("matchExpressions") or []  # ours are in each of them
    return [wish for wish in found if wish["key"] in {PRODUCT_LABEL, MEMORY_LABEL}]


def _say(wish: Manifest) -> str:
    """Say what a label is wished to be; the owner's own wishes may have any operator, and so no values."""
    key, operator, values = wish["key"], wish["operator"], ", ".join(wish.get("values") or ())
    if key == MEMORY_LABEL and operator == "Gt":
        return f"{key} over {values} (MiB)"
    return f"{key} {values}" if operator == "In" else f"{key} {operator} {values}".rstrip()
