"""The operator's settings, read from the environment once."""

from __future__ import annotations

import dataclasses
import re
import secrets
import socket
from typing import TYPE_CHECKING, Final

from foresail_operator import __version__, sockets
from foresail_operator.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_NUMBERS: Final = {
    "http_port": (0, 65535),
    "metrics_port": (0, 65535),
    "hold_seconds": (0, 3600),
    "workers": (1, 256),
}
HELP: Final = {
    "FORESAIL_NAMESPACES": "namespaces to look at, with commas between; empty: all",
    "FORESAIL_RUNTIME_IMAGE": "runtime image for CPUs",
    "FORESAIL_RUNTIME_IMAGE_OPENVINO": "runtime image for Intel's OpenVINO",
    "FORESAIL_RUNTIME_IMAGE_GPU": "runtime image for NVIDIA GPUs",
    "FORESAIL_RUNTIME_PULL_POLICY": f"one of {', '.join(_PULL_POLICIES)}",
    "FORESAIL_PROXY_IMAGE": "HAProxy image for models with loadBalancing: request",
    "FORESAIL_PROXY_PULL_POLICY": f"one of {', '.join(_PULL_POLICIES)}",
    "FORESAIL_CLUSTER_DOMAIN": "what the names of Services end in",
    "FORESAIL_POD_NAME": "who holds the Lease, unique among processes that run; made up when absent",
    "FORESAIL_POD_NAMESPACE": "where the Lease is",
    "FORESAIL_LEASE_NAME": "the Lease by which one of a release's pods leads",
    "FORESAIL_HTTP_HOST": "address of /healthz, /readyz and /metrics",
    "FORESAIL_HTTP_PORT": "their port",
    "FORESAIL_METRICS_SERVICE": "Service in FORESAIL_POD_NAMESPACE before the metrics API; empty: no such API",
    "FORESAIL_METRICS_PORT": "port of the metrics API",
    "FORESAIL_ACTIVATOR_SERVICE": "Service in FORESAIL_POD_NAMESPACE before the activator; empty: there is none",
    "FORESAIL_HOLD_SECONDS": "longest time for which the activator holds a request; 0: there is none",
    "FORESAIL_WAKE_NAME": "ConfigMap there in which the activator asks for replicas",
    "FORESAIL_WORKERS": "ModelDeployments looked at at the same time",
    "FORESAIL_LOG_LEVEL": f"one of {', '.join(_LEVELS)}",
    "KUBECONFIG": "the way to the API server outside a cluster",
}
"""What `foresail-operator --help` prints."""
_OURS: Final = tuple(name for name in HELP if name.startswith("FORESAIL_"))


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between installations."""

    namespaces: tuple[str, ...] = ()
    runtime_image: str = f"foresail-runtime:{__version__}"
    runtime_image_openvino: str = f"foresail-runtime:{__version__}-openvino"
    runtime_image_gpu: str = f"foresail-runtime:{__version__}-gpu"
    runtime_pull_policy: str = "IfNotPresent"
    proxy_image: str = f"foresail-proxy:{__version__}"
    proxy_pull_policy: str = "IfNotPresent"
    cluster_domain: str = "cluster.local"
    ipv6: bool = False
    """Whether the cluster's first family is IPv6: then the API server's address in a pod is of it."""
    pod_name: str = dataclasses.field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(3)}")
    pod_namespace: str = "default"
    lease_name: str = "foresail-operator"
    http_host: str = sockets.EVERYWHERE  # probes come from the node, metrics from anywhere
    http_port: int = 8080
    metrics_service: str = ""
    metrics_port: int = 8443
    activator_service: str = ""
    hold_seconds: int = 0
    wake_name: str = "foresail-wake"
    workers: int = 24
    log_level: str = "INFO"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; an empty variable counts as absent.

    Raises:
        SettingsError: A variable has a value that can't be used.
    """
    given = {name: environment[name].strip() for name in _OURS if environment.get(name, "").strip()}
    fields = {name.removeprefix("FORESAIL_").lower(): value for name, value in given.items()}
    if "log_level" in fields:
        fields["log_level"] = fields["log_level"].upper()
    known: dict[str, object] = dict(fields)
    known["ipv6"] = ":" in environment.get("KUBERNETES_SERVICE_HOST", "")
    if "namespaces" in fields:
        known["namespaces"] = _namespaces(fields["namespaces"])
    for name, (low, high) in _NUMBERS.items():
        if name in fields:
            known[name] = _number(name, fields[name], low, high)
    _one_of("log_level", fields, _LEVELS)
    for name in ("runtime_pull_policy", "proxy_pull_policy"):
        _one_of(name, fields, _PULL_POLICIES)
    return dataclasses.replace(Settings(), **known)  # type: ignore[arg-type]  # fields are named as the variables


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise SettingsError(f"FORESAIL_NAMESPACES: {name!r} is no namespace; write names with commas between them")
    return names


def _number(name: str, text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(f"FORESAIL_{name.upper()} is {text!r}: write a whole number from {low} to {high}")
    return int(text)


def _one_of(name: str, fields: Mapping[str, str], choices: tuple[str, ...]) -> None:
    if name in fields and fields[name] not in choices:
        raise SettingsError(f"FORESAIL_{name.upper()} is {fields[name]!r}: write one of {', '.join(choices)}")
