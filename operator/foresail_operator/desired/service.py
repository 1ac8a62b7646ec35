"""The Services of a model: one address for clients, one whose DNS answer is every ready pod, one past the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_operator.api.kinds import SERVICE, Manifest
from foresail_operator.desired import meta, names
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

HTTP_SERVICE_PORT: Final = 80
"""So that an address in the cluster needs no port: http://NAME.NAMESPACE."""


def build(model: ModelDeployment, *, proxied: bool = False) -> Manifest:
    """Return the Service that clients call; it leads to the proxies or to the replicas."""
    name = model.metadata.name
    spec = {
        "type": "ClusterIP",
        "ports": _ports(model, HTTP_SERVICE_PORT),
        "selector": meta.proxy_selector(name) if proxied else meta.selector(name),
    }
    return meta.child(model, SERVICE, names.service(name), spec=spec)


def build_direct(model: ModelDeployment) -> Manifest:
    """Return the Service that leads past the proxies to the replicas, and to who stands in for them."""
    spec = {
        "type": "ClusterIP",
        "ports": _ports(model, HTTP_SERVICE_PORT),
        "selector": meta.selector(model.metadata.name),
    }
    return meta.child(model, SERVICE, names.direct_service(model.metadata.name), spec=spec)


def build_headless(model: ModelDeployment) -> Manifest:
    """Return the headless Service; no proxy maps its ports, so they are the pods' own."""
    spec = {
        "type": "ClusterIP",
        "clusterIP": "None",
        "ports": _ports(model, contract.HTTP_PORT),
        "selector": meta.selector(model.metadata.name),
    }
    return meta.child(model, SERVICE, names.headless_service(model.metadata.name), spec=spec)


def url(model: ModelDeployment) -> str:
    """Return the address inside the cluster."""
    scheme, port = ("https", f":{HTTP_SERVICE_PORT}") if model.spec.serving.tls else ("http", "")
    return f"{scheme}://{names.service(model.metadata.name)}.{model.metadata.namespace}{port}"


def _ports(model: ModelDeployment, http_port: int) -> list[Manifest]:
    # "https" is what Ingress controllers and Gateways know for both; of gRPC over TLS, ALPN tells them the rest.
    secure = model.spec.serving.tls is not None
    return [
        {
            "name": contract.HTTP_PORT_NAME,
            "port": http_port,
            "targetPort": contract.HTTP_PORT_NAME,
            "protocol": "TCP",
            "appProtocol": "https" if secure else "http",
        },
        {
            "name": contract.GRPC_PORT_NAME,
            "port": contract.GRPC_PORT,
            "targetPort": contract.GRPC_PORT_NAME,
            "protocol": "TCP",
            "appProtocol": "https" if secure else "kubernetes.io/h2c",
        },
    ]
