"""How the HPA gets our numbers: which of the metrics APIs is free for us.

| who serves the API                                        | mode     |
|-----------------------------------------------------------|----------|
| custom.metrics.k8s.io: we, in every version that is there | custom   |
| else external.metrics.k8s.io: we                          | external |
| another provider both, nobody, or no right to know        | bounds   |
| we, but the API server has not reached us for two minutes | bounds   |
| we, but nobody tells us who the aggregator is             | bounds   |

In the mode `bounds` the operator itself writes the size it decides on as the HPA's minimum and maximum. One foreign
version makes the whole group foreign: the HPA picks one version for all its metrics.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING, Any, Final

from foresail_operator.scaling import documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PATIENCE: Final = dt.timedelta(minutes=2)
"""For how long the API server may not reach us before the HPA is led another way: longer than an upgrade takes."""
_BY_BOUNDS: Final = "the operator sets the HPA's bounds itself"


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


def choose(
    api_services: Iterable[Mapping[str, Any]] | None,
    ours: Service,
    now: dt.datetime,
    since: dt.datetime,
    *,
    distrust: str | None = None,
) -> Choice:
    """Return the mode.

    Args:
        api_services: The cluster's APIService objects of both groups; None if we may not read them, as in an install
            for a single namespace.
        ours: The Service that our metrics API stands behind.
        now: The time.
        since: When we began to look: that we were not reached before says nothing.
        distrust: Why we do not know the aggregator, and so answer nobody; None where we do.
    """
    if api_services is None:
        return Choice(
            Mode.BOUNDS, "this install has no metrics API of its own, so the operator sets the HPA's bounds itself"
        )
    if distrust is not None:
        return Choice(Mode.BOUNDS, f"{_BY_BOUNDS} because its metrics API can trust nobody: {distrust}")
    served = list(api_services)
    against: list[str] = []
    for mode, group in ((Mode.CUSTOM, documents.CUSTOM_GROUP), (Mode.EXTERNAL, documents.EXTERNAL_GROUP)):
        items = [item for item in served if item["spec"].get("group") == group]
        services = [_service(item) for item in items]
        if services and all(service == ours for service in services):
            unreached = [word for item in items if (word := _unreached(item, now, since))]
            if not unreached:
                return Choice(mode, f"the HPA reads the load over {group}{_because(against)}")
            against.append(
                f"the API server has not reached {group} for two minutes ({unreached[0]}): let it reach port 8443 of "
                "the operator's pods"
            )
        against += [f"{group} belongs to {_text(service)}" for service in services if service != ours][:1]
    return Choice(Mode.BOUNDS, f"{_BY_BOUNDS}{_because(against)}")


def _unreached(item: Mapping[str, Any], now: dt.datetime, since: dt.datetime) -> str | None:
    """Return the reason for which the API server has gone without an APIService for too long; None if it has not."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    found = next((one for one in conditions if one.get("type") == "Available"), None)
    if found is None or found.get("status") != "False" or not found.get("lastTransitionTime"):
        return None
    since = max(since, dt.datetime.fromisoformat(found["lastTransitionTime"]))
    return str(found.get("reason") or "not available") if now - since >= PATIENCE else None


def belongs(item: Mapping[str, Any], ours: Service) -> bool:
    """Return whether an APIService leads to our Service."""
    return _service(item) == ours


def _service(item: Mapping[str, Any]) -> Service | None:
    service = item["spec"].get("service")
    return Service(service["namespace"], service["name"]) if service else None


def _text(service: Service | None) -> str:
    return f"Service {service.namespace}/{service.name}" if service else "the API server"


def _because(against: list[str]) -> str:
    return f" because {' and '.join(against)}" if against else ""
