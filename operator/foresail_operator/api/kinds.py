"""The kinds that the operator reads and writes, with the path of each at the API server."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, TypeAlias

from foresail_operator.api import v1alpha1

Manifest: TypeAlias = dict[str, Any]
"""An object as it travels to or from the API server; nobody changes one that someone else made."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of the Kubernetes API."""

    group: str
    version: str
    name: str
    plural: str

    @property
    def api_version(self) -> str:
        """What manifests carry as apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, an object, or one of its subresources."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural, name, subresource]
        return "/".join(part for part in parts if part)


MODEL_DEPLOYMENT: Final = Kind(v1alpha1.GROUP, v1alpha1.VERSION, v1alpha1.KIND, v1alpha1.PLURAL)
CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps")
SERVICE: Final = Kind("", "v1", "Service", "services")
POD: Final = Kind("", "v1", "Pod", "pods")
EVENT: Final = Kind("", "v1", "Event", "events")
DEPLOYMENT: Final = Kind("apps", "v1", "Deployment", "deployments")
AUTOSCALER: Final = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET: Final = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")

CHILDREN: Final = (CONFIG_MAP, DEPLOYMENT, SERVICE, ENDPOINT_SLICE, AUTOSCALER, DISRUPTION_BUDGET)
"""What a ModelDeployment owns directly, in the order of writing."""
BY_NAME: Final = {kind.name: kind for kind in (MODEL_DEPLOYMENT, *CHILDREN, POD)}
