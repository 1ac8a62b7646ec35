"""The files and objects a cluster is made of: pure builders.

JSON is YAML, so what Kubernetes reads is written as JSON.
"""

import base64
import json
from pathlib import Path
from typing import Any

from foresail_testbed import flags, layout, options

KWOK_LABELS = {"type": "kwok", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
PAUSE_IMAGE = "localhost/foresail-pause:1"


def kubeconfig(run: layout.Run, user: str, server: str = options.API_SERVER) -> str:
    """Build the kubeconfig of a user, whose key pair bears the user's name."""
    cluster = {"server": server, "certificate-authority": str(run.certificate("ca"))}
    client = {"client-certificate": str(run.certificate(user)), "client-key": str(run.key(user))}
    return encode(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": run.name, "cluster": cluster}],
            "users": [{"name": user, "user": client}],
            "contexts": [{"name": run.name, "context": {"cluster": run.name, "user": user}}],
            "current-context": run.name,
        }
    )


def portable_kubeconfig(run: layout.Run, server: str) -> str:
    """Build the administrator's kubeconfig with all keys in it, so that it can be copied elsewhere."""
    whole = json.loads(kubeconfig(run, "admin", server=server))
    for part in (whole["clusters"][0]["cluster"], whole["users"][0]["user"]):
        for name in [name for name in part if name != "server"]:
            part[f"{name}-data"] = base64.b64encode(Path(part.pop(name)).read_bytes()).decode()
    return encode(whole)


def audit_policy(users: tuple[str, ...]) -> str:
    """Build a policy that logs who did what for these users and nothing for others."""
    rules = [{"level": "Metadata", "users": list(users)}, {"level": "None"}]
    return encode(
        {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    )


def kubelet(run: layout.Run, node: options.NodePlan, cgroup_root: str, wish: options.Options) -> str:
    """Build the kubelet's settings for a node that shares its machine with others."""
    folder = run.node(node.name)
    return encode(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            **kubelet_trust(run, node),
            **kubelet_period(wish),
            "containerRuntimeEndpoint": f"unix://{folder / 'containerd.sock'}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_root,
            "clusterDNS": [options.DNS_SERVICE_IP] if wish.dns else [],
            "clusterDomain": options.CLUSTER_DOMAIN,
            "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageMaximumGCAge": "0s",
            "localStorageCapacityIsolation": False,
            "oomScoreAdj": 0,
            "podLogsDir": str(folder / "pod-logs"),
            "registerNode": True,
            "resolvConf": "",
            "volumePluginDir": str(folder / "volume-plugins"),
        }
    )


def kubelet_period(wish: options.Options) -> dict[str, Any]:
    """Build how often containers get their share of the CPU; another period than Kubernetes' own needs a gate."""
    period = wish.cpu_period_milliseconds
    if period == options.Options.cpu_period_milliseconds:
        return {}
    return {"cpuCFSQuotaPeriod": f"{period}ms", "featureGates": {"CustomCPUCFSQuotaPeriod": True}}


def kubelet_trust(run: layout.Run, node: options.NodePlan) -> dict[str, Any]:
    """Build whom a kubelet believes and by what it is believed."""
    return {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(run.certificate("ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(run.certificate(node.name)),
        "tlsPrivateKeyFile": str(run.key(node.name)),
    }


def containerd(run: layout.Run, node: options.NodePlan, programs: str) -> str:
    """Build containerd's settings (version 3); `programs` is the folder of the CNI plugins."""
    folder = run.node(node.name)
    return f"""version = 3
root = "{folder / "containerd"}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
[plugins.'io.containerd.internal.v1.opt']
path = "{folder / "opt"}"
[grpc]
address = "{folder / "containerd.sock"}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{programs}"]
conf_dir = "{folder / "cni"}"
"""


def cni(run: layout.Run, node: options.NodePlan) -> str:
    """Build the pod network of a node.

    Every pod hangs on a routed veth of its own (ptp), not on a bridge: a pod's answer to its neighbour then always
    passes the host's address translation, with or without the kernel's bridge netfilter.
    """
    ranges = [[{"subnet": node.pods}]]
    ipam = {
        "type": "host-local",
        "dataDir": str(run.node(node.name) / "ipam"),
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam, "mtu": 1500},
        {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"},
    ]
    return encode({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})


def corefile() -> str:
    """Build CoreDNS' settings: the cluster's names, and an immediate no for every other."""
    return f""".:{flags.DNS_PORT} {{
    errors
    health 127.0.0.1:8181
    ready 127.0.0.1:8182
    kubernetes {options.CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig KUBECONFIG
        pods insecure
        ttl 5
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def kwok_node(index: int) -> dict[str, Any]:
    """Build a node that kwok acts for."""
    name = f"kwok-{index}"
    capacity = {"cpu": "256", "memory": "4Ti", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {**KWOK_LABELS, "kubernetes.io/hostname": name},
        },
        "status": {"allocatable": capacity, "capacity": capacity},
    }


def machine_service(name: str, ports: list[dict[str, Any]], cluster_ip: str | None = None) -> list[dict[str, Any]]:
    """Build Service and EndpointSlice in kube-system of something that runs on the machine, not in a pod."""
    metadata = {"name": name, "namespace": "kube-system"}
    spec: dict[str, Any] = {"ports": [{**port, "targetPort": port["target"]} for port in ports]}
    for port in spec["ports"]:
        del port["target"]
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    slice_ports = [{"name": p["name"], "port": p["target"], "protocol": p["protocol"]} for p in ports]
    labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "foresail-testbed"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [options.API_ADDRESS], "conditions": {"ready": True}}],
            "ports": slice_ports,
        },
    ]


def metrics_server() -> list[dict[str, Any]]:
    """Build what makes `kubectl top` and a cpu HPA find metrics-server."""
    ports = [{"name": "https", "port": 443, "target": flags.METRICS_SERVER_PORT, "protocol": "TCP"}]
    spec = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "service": {"name": "metrics-server", "namespace": "kube-system"},
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
    }
    return [
        *machine_service("metrics-server", ports),
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": spec,
        },
    ]


def dns() -> list[dict[str, Any]]:
    """Build the Service that every pod's resolver asks."""
    ports = [
        {"name": "dns", "port": 53, "target": flags.DNS_PORT, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "target": flags.DNS_PORT, "protocol": "TCP"},
    ]
    return machine_service("kube-dns", ports, options.DNS_SERVICE_IP)


def encode(value: object) -> str:
    """Write a value as indented JSON."""
    return json.dumps(value, indent=1) + "\n"
