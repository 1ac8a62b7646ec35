"""What the metrics API answers with: discovery, values and errors, as the metrics APIs of Kubernetes define them."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from foresail_operator.api import v1alpha1
from foresail_operator.scaling.signal import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Document: TypeAlias = dict[str, Any]

CUSTOM_GROUP: Final = "custom.metrics.k8s.io"
CUSTOM_VERSIONS: Final = ("v1beta2", "v1beta1")
"""Preferred first."""
EXTERNAL_GROUP: Final = "external.metrics.k8s.io"
EXTERNAL_VERSIONS: Final = ("v1beta1",)
VERSIONS: Final = {CUSTOM_GROUP: CUSTOM_VERSIONS, EXTERNAL_GROUP: EXTERNAL_VERSIONS}

RESOURCE: Final = f"{v1alpha1.PLURAL}.{v1alpha1.GROUP}"
"""How the custom metrics API names the objects that our metrics describe."""

NAMES: Final = {
    Kind.CONCURRENCY: "concurrency",
    Kind.REQUESTS_PER_SECOND: "requests_per_second",
    Kind.LATENCY: "latency_p95_milliseconds",
    Kind.QUEUE: "queued_requests",
}
"""Each kind's metric name; as an external metric it carries EXTERNAL_PREFIX."""
EXTERNAL_PREFIX: Final = "foresail_"
KINDS: Final = {name: kind for kind, name in NAMES.items()} | {
    EXTERNAL_PREFIX + name: kind for kind, name in NAMES.items()
}


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """One number of one model."""

    namespace: str
    name: str
    kind: Kind
    value: float
    timestamp: str
    """RFC 3339, when it was served."""
    labels: Mapping[str, str]
    """Labels of the external metric."""


def group(name: str) -> Document:
    """Return the APIGroup document."""
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in VERSIONS[name]]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def resources(group_name: str, version: str) -> Document:
    """Return the APIResourceList document: a resource for each metric."""
    if group_name == CUSTOM_GROUP:
        names, kind = [f"{RESOURCE}/{name}" for name in NAMES.values()], "MetricValueList"
    else:
        names, kind = [EXTERNAL_PREFIX + name for name in NAMES.values()], "ExternalMetricValueList"
    entry = {"singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{version}",
        "resources": [{"name": name} | entry for name in names],
    }


def custom_values(version: str, values: Iterable[Value]) -> Document:
    """Return a MetricValueList of a version of the custom metrics API."""
    return {
        "kind": "MetricValueList",
        "apiVersion": f"{CUSTOM_GROUP}/{version}",
        "metadata": {},
        "items": [_custom_value(version, value) for value in values],
    }


def external_values(values: Iterable[Value]) -> Document:
    """Return an ExternalMetricValueList."""
    items = [
        {
            "metricName": EXTERNAL_PREFIX + NAMES[value.kind],
            "metricLabels": dict(value.labels),
            "timestamp": value.timestamp,
            "value": quantity(value.value),
        }
        for value in values
    ]
    version = EXTERNAL_VERSIONS[0]
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": f"{EXTERNAL_GROUP}/{version}",
        "metadata": {},
        "items": items,
    }


def status(code: int, reason: str, message: str) -> Document:
    """Return the Status document of a failure."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def quantity(value: float) -> str:
    """Return a Quantity, in thousandths where it is not whole; rounded up, as the HPA does."""
    milli = math.ceil(round(value * 1000, 3))
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def _custom_value(version: str, value: Value) -> Document:
    described = {
        "kind": v1alpha1.KIND,
        "namespace": value.namespace,
        "name": value.name,
        "apiVersion": f"{v1alpha1.GROUP}/{v1alpha1.VERSION}",
    }
    name = NAMES[value.kind]
    metric: Document = {"metricName": name} if version == "v1beta1" else {"metric": {"name": name, "selector": None}}
    return {"describedObject": described} | metric | {"timestamp": value.timestamp, "value": quantity(value.value)}
