"""The EndpointSlices that let the activator stand in for a model's replicas.

They join the model's Service beside the slices that Kubernetes keeps. There are two kinds of readers
(docs/decisions/0013):

kube-proxy falls back to endpoints that are terminating and still serve exactly while a Service has no ready one: so a
request goes to the activator from the moment the last replica is lost, and to a replica from the moment the first is
ready, without anybody having to write anything in between.

Meshes and Ingress controllers, which go to pods directly, leave out what is not ready. For them one of the activator's
pods is a ready endpoint while a model sleeps and wakes, in a slice that kube-proxy does not read: to that it would be
as good as the first replica until our next write has reached it. The pod is not among the fallbacks then, as some know
an endpoint by its address, and take either of two that contradict each other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_operator.api.kinds import ENDPOINT_SLICE, Manifest
from foresail_operator.desired import digests, meta, names
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
"""Says which Service a slice belongs to."""
SLICE_MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGED_BY: Final = meta.MANAGED_BY
"""Kubernetes' own controller leaves alone what has another value than its own."""
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
"""kube-proxy asks for slices without it, whatever its value."""
OUR_SLICES: Final = f"{meta.OURS},{SLICE_MANAGED_BY_LABEL}={SLICE_MANAGED_BY}"
"""Label selector of the slices that we write; Kubernetes copies a Service's labels to its own slices."""
SLICES_OF_SERVICES: Final = f"{meta.OURS},!{HEADLESS_LABEL}"
"""Label selector of all that the activator reads: our fallbacks, and the slices of the Services that clients call."""
FIRST_PORT: Final = 10_000
MODELS: Final = 11_384
"""So many pairs of ports there are below 32768, where those begin that Linux gives to outgoing connections."""


@dataclasses.dataclass(frozen=True, slots=True)
class Roles:
    """What the activator's pods are to a model, by address."""

    fallback: tuple[str, ...]
    """Those that kube-proxy falls back to."""
    ready: tuple[str, ...]
    """Those that are ready endpoints for who goes by these."""


def assign(model: ModelDeployment, addresses: tuple[str, ...], *, sleeps: bool, alone: bool) -> Roles:
    """Give the activator's pods their roles.

    One is kept from the fallbacks for as long as a model may sleep, so that these need not be written when it does.
    Where there is one pod, it is both.

    Args:
        model: For whose replicas the activator stands in.
        addresses: The activator's ready pods.
        sleeps: Whether the model may sleep.
        alone: Whether the activator is there for it alone, as it sleeps or wakes.
    """
    split = (sleeps or alone) and len(addresses) > 1
    kept = _choose(model, addresses) if split else addresses
    fallback = tuple(one for one in addresses if one not in kept) if split else addresses
    return Roles(fallback, kept if alone else ())


def build(
    model: ModelDeployment,
    roles: Roles,
    pair: int,
    *,
    proxied: bool = False,
    before: str | None = None,
) -> Manifest:
    """Return the slice of the fallbacks, which every network reads.

    Args:
        model: For whose replicas the activator stands in.
        roles: What its pods are.
        pair: The number of the model's ports.
        proxied: Whether the replicas are behind proxies: then it joins the Service that leads past those.
        before: The family of the slice that is there, if one is.
    """
    called = model.metadata.name
    service = names.direct_service(called) if proxied else names.service(called)
    name, labels = names.activator_slice(called, proxied=proxied), {SERVICE_NAME_LABEL: service}
    endpoints = [_endpoint(one, ready=one in roles.ready) for one in sorted(roles.fallback)]
    family = address_type(roles.fallback, before)
    return _slice(model, name, labels, addressType=family, endpoints=endpoints, ports=_ports(pair))


def build_ready(model: ModelDeployment, roles: Roles, pair: int, *, before: str | None = None) -> Manifest | None:
    """Return the slice that kube-proxy does not read; None where nothing is to be hidden from it.

    The arguments are those of `build`.
    """
    hidden = sorted(set(roles.ready) - set(roles.fallback))
    if not hidden:
        return None
    called = model.metadata.name
    labels = {SERVICE_NAME_LABEL: names.service(called), HEADLESS_LABEL: ""}
    endpoints, family = [_endpoint(one, ready=True) for one in hidden], address_type(roles.ready, before)
    return _slice(model, names.ready_slice(called), labels, addressType=family, endpoints=endpoints, ports=_ports(pair))


def address_type(addresses: tuple[str, ...], before: str | None) -> str:
    """Return the family that a slice of these addresses has; of none, that which it has."""
    if not addresses and before is not None:
        return before
    return "IPv6" if any(":" in address for address in addresses) else "IPv4"


def port(pair: int, name: str) -> int:
    """Return the port on which the activator listens for one port of a model's Service."""
    return FIRST_PORT + 2 * pair + (name == contract.GRPC_PORT_NAME)


def pair_of(manifest: Manifest) -> int | None:
    """Return the number of the ports that a slice carries; None when they are not of our making."""
    numbers = {one.get("name"): one.get("port") for one in manifest.get("ports") or ()}
    found = numbers.get(contract.HTTP_PORT_NAME)
    if not isinstance(found, int):
        return None
    pair, odd = divmod(found - FIRST_PORT, 2)
    return pair if not odd and 0 <= pair < MODELS else None


def is_ready(manifest: Manifest) -> bool:
    """Tell whether a slice has the activator's endpoints as ready ones."""
    return any((one.get("conditions") or {}).get("ready") for one in manifest.get("endpoints") or ())


def _choose(model: ModelDeployment, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return one of the addresses, another one for another model."""
    number = int(digests.short(f"{model.metadata.namespace}/{model.metadata.name}", 8), 16)
    return (sorted(addresses)[number % len(addresses)],)


def _slice(model: ModelDeployment, name: str, labels: dict[str, str], **body: object) -> Manifest:
    manifest = meta.child(model, ENDPOINT_SLICE, name, **body)
    metadata = manifest["metadata"]
    added = {SLICE_MANAGED_BY_LABEL: SLICE_MANAGED_BY, **labels}
    return manifest | {"metadata": metadata | {"labels": metadata["labels"] | added}}


def _endpoint(address: str, *, ready: bool) -> Manifest:
    return {"addresses": [address], "conditions": {"ready": ready, "serving": True, "terminating": not ready}}


def _ports(pair: int) -> list[Manifest]:
    return [
        {"name": name, "port": port(pair, name), "protocol": "TCP"}
        for name in (contract.HTTP_PORT_NAME, contract.GRPC_PORT_NAME)
    ]
