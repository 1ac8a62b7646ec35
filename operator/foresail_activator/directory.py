"""What EndpointSlices say: on which ports to listen for which model, and which replicas are ready.

Two kinds of slices carry our label: those that the operator writes, whose ports are those to listen on, and those
that Kubernetes keeps for the model's Service, whose ready endpoints are the replicas, just as kube-proxy sees them.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, TypeAlias

from foresail_operator.desired import activator, meta, names

Service: TypeAlias = tuple[str, str]
"""Namespace and name of a model's Service."""
Address: TypeAlias = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Door:
    """A port of a model's Service, by its name."""

    service: Service
    port_name: str
    model: str = ""

    def replaces(self, other: Door) -> bool:
        """Tell whether who waits at another may wait here: it is the same model's, which moves between Services."""
        place, its = ((one.service[0], one.model, one.port_name) for one in (self, other))
        return self == other or (place == its and self.model != "")


@dataclasses.dataclass(frozen=True, slots=True)
class _Slice:
    service: Service
    model: str
    """Of those that are ours."""
    created: str
    ports: dict[str, int]
    addresses: tuple[str, ...]
    ours: bool

    @property
    def past_proxies(self) -> bool:
        """Whether its Service is the one that leads past a model's proxies."""
        return self.model != "" and self.service[1] == names.direct_service(self.model)


class Directory:
    """The slices as they were seen last."""

    def __init__(self) -> None:
        self._slices: dict[str, _Slice] = {}
        self._replicas: collections.defaultdict[Service, dict[str, _Slice]] = collections.defaultdict(dict)

    def note(self, raw: dict[str, Any]) -> Service | None:
        """Take in a slice; return its Service if anything changed."""
        uid, new = raw["metadata"]["uid"], _read(raw)
        if new is None or self._slices.get(uid) == new:
            return None
        self.forget(uid)
        self._slices[uid] = new
        if not new.ours:
            self._replicas[new.service][uid] = new
        return new.service

    def forget(self, uid: str) -> Service | None:
        """Take out a deleted slice; return its Service."""
        found = self._slices.pop(uid, None)
        if found is None:
            return None
        self._replicas[found.service].pop(uid, None)
        if not self._replicas[found.service]:
            del self._replicas[found.service]
        return found.service

    def uids(self, namespace: str | None) -> list[str]:
        """Return what is known of a namespace; of all of them for None."""
        return [uid for uid, one in self._slices.items() if namespace in (None, one.service[0])]

    def doors(self) -> dict[int, Door]:
        """Return what each port to listen on stands for; of two that ask for one port the older slice has it.

        Of one model's two, as it moves, the one past its proxies has it: the other's Service leads to those, and from
        them it would come here again.
        """
        found: dict[int, Door] = {}
        for _, one in sorted(self._slices.items(), key=lambda item: (item[1].created, item[0])):
            for name, port in one.ports.items() if one.ours else ():
                door = Door(one.service, name, one.model)
                if one.past_proxies and door.replaces(found.get(port, door)):
                    found[port] = door
                found.setdefault(port, door)
        return found

    def pods(self, door: Door) -> tuple[Address, ...]:
        """Return where the ready replicas take what comes through a door."""
        return tuple(
            (address, one.ports[door.port_name])
            for one in self._replicas.get(door.service, {}).values()
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
        model=(metadata.get("annotations") or {}).get(meta.MODEL_ANNOTATION, ""),
        created=metadata.get("creationTimestamp") or "",
        ports={one.get("name") or "": one["port"] for one in raw.get("ports") or () if one.get("port")},
        addresses=tuple(sorted(address for one in ready for address in one["addresses"])),
        ours=labels.get(activator.SLICE_MANAGED_BY_LABEL) == activator.SLICE_MANAGED_BY,
    )
