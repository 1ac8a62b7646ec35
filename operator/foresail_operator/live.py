"""What the watches last showed of an object: the little of it that is read, kept small."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from foresail_operator.api import kinds, v1alpha1
from foresail_operator.desired import meta, names

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Kind

Key: TypeAlias = tuple[str, str]
"""Namespace and name of a ModelDeployment."""

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "labels",
    "annotations",
    "ownerReferences",
    "generation",
    "deletionTimestamp",
    "finalizers",
)
_CONTENT: Final = ("spec", "data", "immutable", "addressType", "endpoints", "ports")


@dataclasses.dataclass(frozen=True, slots=True)
class Live:
    """An object as it was last seen, as JSON: a tenth of the memory of the dicts it stands for."""

    uid: str
    version: int
    """Its resourceVersion, which grows with every change of any object of the kind."""
    body: bytes
    """What someone asked for: metadata and spec."""
    status: bytes
    """What is there."""
    owns_size: bool = False
    """Whether spec.replicas is among the fields that we applied."""

    def read(self) -> dict[str, Any]:
        """Return the object without what is never read."""
        value: dict[str, Any] = orjson.loads(self.body)
        status = orjson.loads(self.status)
        return value if status is None else value | {"status": status}

    def conditions(self) -> list[dict[str, Any]]:
        """Return what its status states."""
        return (orjson.loads(self.status) or {}).get("conditions") or []

    def same(self, other: Live | None) -> bool:
        """Tell whether nothing that is read differs."""
        return other is not None and dataclasses.replace(self, version=0) == dataclasses.replace(other, version=0)


def trim(raw: dict[str, Any]) -> Live:
    """Keep of an object what is read."""
    metadata = raw["metadata"]
    kept: dict[str, Any] = {name: raw[name] for name in _CONTENT if name in raw}
    kept["metadata"] = {name: metadata[name] for name in _METADATA if name in metadata}
    return Live(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        body=_pack(kept),
        status=_pack(raw.get("status")),
        owns_size=_owns_size(metadata),
    )


def _pack(value: Any) -> bytes:
    """Return JSON in memory of its own length: what orjson returns holds on to the 4 kB that it was written into."""
    return bytes(memoryview(orjson.dumps(value)))


def _owns_size(metadata: dict[str, Any]) -> bool:
    return any(
        entry.get("manager") == meta.FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in metadata.get("managedFields") or ()
    )


def controller(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return the owner reference of an object's controller."""
    return next((owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")), None)


def owned(metadata: dict[str, Any], name: str, uid: str) -> bool:
    """Tell whether an object is a child of the ModelDeployment of this name and uid, or an orphan that it adopts.

    An orphan is what we made for that name and nobody controls any more.
    """
    if (owner := controller(metadata)) is not None:
        return bool(owner["uid"] == uid)
    annotations = metadata.get("annotations") or {}
    return meta.APPLIED_ANNOTATION in annotations and annotations.get(meta.MODEL_ANNOTATION) == name


def key_of(metadata: dict[str, Any], kind: Kind) -> Key | None:
    """Return the ModelDeployment that an object is, or is a child or pod of; None when it says nothing of one.

    A pod whose label somebody has taken off or changed, to look at it in peace, is none of the model's any more: the
    Services do not lead to it.
    """
    if kind is kinds.MODEL_DEPLOYMENT:
        return metadata["namespace"], metadata["name"]
    name = (metadata.get("annotations") or {}).get(meta.MODEL_ANNOTATION)
    if kind is kinds.POD:
        labels = metadata.get("labels") or {}
        selected = {labels.get(meta.MODEL_LABEL), labels.get(meta.PROXY_LABEL)}
        return (metadata["namespace"], name) if name and names.base(name) in selected else None
    owner = controller(metadata)
    if owner and owner["kind"] == v1alpha1.KIND and owner["apiVersion"].startswith(f"{v1alpha1.GROUP}/"):
        return metadata["namespace"], owner["name"]
    return (metadata["namespace"], name) if name else None
