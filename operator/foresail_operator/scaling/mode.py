"""How the HPA gets our numbers: which of the metrics APIs is free for us.

| who serves the API                                        | mode     |
|-----------------------------------------------------------|----------|
| custom.metrics.k8s.io: we, in every version that is there | custom   |
| else external.metrics.k8s.io: we                          | external |
| another provider both, nobody, or no right to know        | bounds   |

In the mode `bounds` the operator itself writes the size it decides on as the HPA's minimum and maximum. One foreign
version makes the whole group foreign: the HPA picks one version for all its metrics.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any

from foresail_operator.scaling import documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Mode(enum.StrEnum):
    """Which way the numbers take."""

    CUSTOM = "custom"
    EXTERNAL = "external"
    BOUNDS = "bounds"


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A Service by its name."""

    namespace: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The mode, and why in a sentence for ScalingActive."""

    mode: Mode
    reason: str


def choose(api_services: Iterable[Mapping[str, Any]] | None, ours: Service) -> Choice:
    """Return the mode.

    Args:
        api_services: The cluster's APIService objects of both groups; None if we may not read them, as in an install
            for a single namespace.
        ours: The Service that our metrics API stands behind.
    """
    if api_services is None:
        return Choice(
            Mode.BOUNDS, "this install has no metrics API of its own, so the operator sets the HPA's bounds itself"
        )
    served = list(api_services)
    foreign: list[str] = []
    for mode, group in ((Mode.CUSTOM, documents.CUSTOM_GROUP), (Mode.EXTERNAL, documents.EXTERNAL_GROUP)):
        services = [_service(item) for item in served if item["spec"].get("group") == group]
        if services and all(service == ours for service in services):
            return Choice(mode, f"the HPA reads the load over {group}{_because(foreign)}")
        foreign += [f"{group} belongs to {_text(service)}" for service in services if service != ours][:1]
    return Choice(Mode.BOUNDS, f"the operator sets the HPA's bounds itself{_because(foreign)}")


def belongs(item: Mapping[str, Any], ours: Service) -> bool:
    """Return whether an APIService leads to our Service."""
    return _service(item) == ours


def _service(item: Mapping[str, Any]) -> Service | None:
    service = item["spec"].get("service")
    return Service(service["namespace"], service["name"]) if service else None


def _text(service: Service | None) -> str:
    return f"Service {service.namespace}/{service.name}" if service else "the API server"


def _because(foreign: list[str]) -> str:
    return f" because {' and '.join(foreign)}" if foreign else ""
