"""What a cluster shall be, and the addresses that every cluster has.

Each cluster lives in network namespaces of its own, so the addresses are the same in all of them and never meet.
"""

import dataclasses
import json
from typing import Any

KUBERNETES_VERSION = "1.37.2"

SERVICE_NETWORK = "10.96.0.0/16"
POD_NETWORK = "10.244.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443
GARBAGE_PERCENT = "400"
"""GOGC of Kubernetes' programs and of kubectl, unless the caller's environment names one: clusters here are small and
short-lived, and Go's own 100 costs more CPU for collecting than memory is worth."""
MAX_NODES = 9


@dataclasses.dataclass(frozen=True)
class Options:
    """One cluster's shape; the defaults are what most clusters of users have."""

    name: str = "foresail"
    kubernetes: str = KUBERNETES_VERSION
    nodes: int = 1
    """Nodes with a kubelet and containerd; 0 is a control plane only."""
    kwok_nodes: int = 0
    """Nodes that kwok pretends, and whose pods cost nothing."""
    metrics_server: bool = True
    """Whether cpu and memory metrics are served; counts only where there are kubelets."""
    dns: bool = True
    """Whether CoreDNS answers for Services; counts only where there are kubelets."""
    hpa_scale_to_zero: bool = True
    """The feature gate of that name; clusters before 1.37 have it off."""
    controllers_qps: int | None = 100
    """Requests a second that the controllers and the scheduler may send.

    None keeps what Kubernetes ships (20 and 50), with which the controllers alone take 5 s to start.
    """
    audit_users: tuple[str, ...] = ()
    """Users whose requests go to the audit log."""
    cpu_period_milliseconds: int = 100
    """How often a container is given its share of the CPU: in a short period a small share is a slow core, in a long
    one (100 is Kubernetes' own) a fast core that stands still most of the time."""

    @property
    def kubelets(self) -> bool:
        """Whether real pods run."""
        return self.nodes > 0

    def encode(self) -> str:
        """Write the options for the process that starts the cluster."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def decode(cls, text: str) -> "Options":
        """Read what `encode` wrote."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**{**fields, "audit_users": tuple(fields["audit_users"])})


@dataclasses.dataclass(frozen=True)
class NodePlan:
    """Name and addresses of the node with a kubelet that was started as number `index`, from 1."""

    index: int

    @property
    def name(self) -> str:
        """The node's name in the cluster."""
        return f"node-{self.index}"

    @property
    def address(self) -> str:
        """The node's own address; node 1 carries the control plane too."""
        return f"10.254.0.{self.index}"

    @property
    def pods(self) -> str:
        """The addresses of the node's pods."""
        return f"10.244.{self.index}.0/24"


API_ADDRESS = NodePlan(1).address
API_SERVER = f"https://{API_ADDRESS}:{API_PORT}"
