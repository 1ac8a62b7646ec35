"""Where the model comes from, as volumes of the pod and as a path for the runtime."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_runtime.contract import SOURCE_FOLDER

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Manifest

VOLUME: Final = "source"


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """`path` is None when the runtime fetches the model itself; `volume` is None when nothing is mounted."""

    path: str | None
    volume: Manifest | None


def build(uri: str) -> Source:
    """Return the source that a model's address names."""
    scheme, _, rest = uri.partition("://")
    head, _, tail = rest.partition("/")
    match scheme:
        case "configmap":
            items = [{"key": tail, "path": tail}]
            return Source(
                f"{SOURCE_FOLDER}/{tail}", {"configMap": {"name": head, "items": items, "defaultMode": 0o444}}
            )
        case "pvc":
            return Source(f"{SOURCE_FOLDER}/{tail}", {"persistentVolumeClaim": {"claimName": head, "readOnly": True}})
        case "file":
            return Source(f"/{tail}", None)
        case _:
            return Source(None, None)
