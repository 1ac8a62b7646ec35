"""The EndpointSlice that lets the activator stand in for a model's replicas.

It joins the model's Service beside the slices that Kubernetes keeps. Its endpoints are written as terminating and
still serving, which is what a Service falls back to exactly while it has no ready endpoint: so a request goes to the
activator from the moment the last replica is lost, and to a replica from the moment the first is ready, without
anybody having to write anything in between (docs/decisions/0013).

Only kube-proxy knows that rule. Meshes, Ingress controllers and load balancers, which go to pods directly, leave out
what is not ready; so of a model at zero they are written as ready, until its first replica is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_operator.api.kinds import ENDPOINT_SLICE, Manifest
from foresail_operator.desired import meta, names
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
"""Says which Service a slice belongs to."""
SLICE_MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGED_BY: Final = meta.MANAGED_BY
"""Kubernetes' own controller leaves alone what has another value than its own."""
OUR_SLICES: Final = f"{meta.OURS},{SLICE_MANAGED_BY_LABEL}={SLICE_MANAGED_BY}"
"""Label selector of the slices that we write; Kubernetes copies a Service's labels to its own slices."""
SLICES_OF_SERVICES: Final = f"{meta.OURS},!service.kubernetes.io/headless"
"""Label selector of all that the activator reads: our slices, and those of the Services that clients call."""
FIRST_PORT: Final = 10_000
MODELS: Final = 11_384
"""So many pairs of ports there are below 32768, where those begin that Linux gives to outgoing connections."""


def build(
    model: ModelDeployment,
    addresses: tuple[str, ...],
    pair: int,
    *,
    proxied: bool = False,
    ready: bool = False,
    before: str | None = None,
) -> Manifest:
    """Return the slice.

    Args:
        model: For whose replicas the activator stands in.
        addresses: The activator's ready pods.
        pair: The number of the model's ports.
        proxied: Whether the replicas are behind proxies: then it joins the Service that leads past those.
        ready: Whether its endpoints are ready ones.
        before: The family of the slice that is there, if one is.
    """
    called = model.metadata.name
    name = names.direct_service(called) if proxied else names.service(called)
    manifest = meta.child(
        model,
        ENDPOINT_SLICE,
        names.activator_slice(called, proxied=proxied),
        addressType=address_type(addresses, before),
        endpoints=[_endpoint(address, ready=ready) for address in sorted(addresses)],
        ports=_ports(pair),
    )
    labels = {SERVICE_NAME_LABEL: name, SLICE_MANAGED_BY_LABEL: SLICE_MANAGED_BY}
    metadata = manifest["metadata"]
    return manifest | {"metadata": metadata | {"labels": metadata["labels"] | labels}}


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


def _endpoint(address: str, *, ready: bool) -> Manifest:
    return {"addresses": [address], "conditions": {"ready": ready, "serving": True, "terminating": not ready}}


def _ports(pair: int) -> list[Manifest]:
    return [
        {"name": name, "port": port(pair, name), "protocol": "TCP"}
        for name in (contract.HTTP_PORT_NAME, contract.GRPC_PORT_NAME)
    ]
