"""What EndpointSlices say: on which ports to listen for which model, and which replicas are ready.

Two kinds of slices carry our label: those that the operator writes, whose ports are those to listen on, and those
that Kubernetes keeps for the model's Service, whose ready endpoints are the replicas, just as kube-proxy sees them.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

from foresail_operator.desired import activator

Service: TypeAlias = tuple[str, str]
"""Namespace and name of a model's Service."""
Address: TypeAlias = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Door:
    """A port of a model's Service, by its name."""

    service: Service
    port_name: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Slice:
    service: Service
    created: str
    ports: dict[str, int]
    addresses: tuple[str, ...]
    ours: bool


class Directory:
    """The slices as they were seen last."""

    def __init__(self) -> None:
        self._slices: dict[str, _Slice] = {}

    def note(self, raw: dict[str, Any]) -> Service | None:
        """Take in a slice; return its Service if anything changed."""
        uid, new = raw["metadata"]["uid"], _read(raw)
        if new is None or self._slices.get(uid) == new:
            return None
        self._slices[uid] = new
        return new.service

    def forget(self, uid: str) -> Service | None:
        """Take out a deleted slice; return its Service."""
        found = self._slices.pop(uid, None)
        return found.service if found else None

    def uids(self, namespace: str | None) -> list[str]:
        """Return what is known of a namespace; of all of them for None."""
        return [uid for uid, one in self._slices.items() if namespace in (None, one.service[0])]

    def doors(self) -> dict[int, Door]:
        """Return what each port to listen on stands for; of two that ask for one port the older slice has it."""
        found: dict[int, Door] = {}
        for _, one in sorted(self._slices.items(), key=lambda item: (item[1].created, item[0])):
            for name, port in one.ports.items() if one.ours else ():
                found.setdefault(port, Door(one.service, name))
        return found

    def pods(self, door: Door) -> tuple[Address, ...]:
        """Return where the ready replicas take what comes through a door."""
        slices = (one for one in self._slices.values() if one.service == door.service and not one.ours)
        return tuple(
            (address, one.ports[door.port_name])
            for one in slices
            if door.port_name in one.ports
            for address in one.addresses
        )


def _read(raw: dict[str, Any]) -> _Slice | None:
    metadata = raw["metadata"]
    labels = metadata.get("labels") or {}
    service = labels.get(activator.SERVICE_NAME_LABEL)
    if service is None:
        return None
    ready = [one for one in raw.get("endpoints") or () if (one.get("conditions") or {}).get("ready")]
    return _Slice(
        service=(metadata["namespace"], service),
        created=metadata.get("creationTimestamp") or "",
        ports={one.get("name") or "": one["port"] for one in raw.get("ports") or () if one.get("port")},
        addresses=tuple(sorted(address for one in ready for address in one["addresses"])),
        ours=labels.get(activator.SLICE_MANAGED_BY_LABEL) == activator.SLICE_MANAGED_BY,
    )
