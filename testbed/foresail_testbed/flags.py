"""The command line of every component: pure, and the one place where a flag stands.

Each flag that isn't plain wiring has a reason beside it.
"""

from foresail_testbed import layout, options

ETCD = "http://127.0.0.1:2379"
METRICS_SERVER_PORT = 4443
DNS_PORT = 53
ADMISSION = ("NodeRestriction", "OwnerReferencesPermissionEnforcement")
"""Admission plugins beside those that are on by default: what kubeadm adds, and what OpenShift adds to that."""


def etcd(run: layout.Run) -> list[str]:
    """Build etcd's flags; it never waits for the disk, for nothing outlives the run."""
    return [
        f"--data-dir={run.folder / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
    ]


def apiserver(run: layout.Run, wish: options.Options) -> list[str]:
    """Build the API server's flags."""
    return [
        f"--etcd-servers={ETCD}",
        f"--secure-port={options.API_PORT}",
        f"--advertise-address={options.API_ADDRESS}",
        "--bind-address=0.0.0.0",
        f"--service-cluster-ip-range={options.SERVICE_NETWORK}",
        f"--tls-cert-file={run.certificate('kube-apiserver')}",
        f"--tls-private-key-file={run.key('kube-apiserver')}",
        f"--client-ca-file={run.certificate('ca')}",
        f"--service-account-key-file={run.key('service-account')}",
        f"--service-account-signing-key-file={run.key('service-account')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        f"--enable-admission-plugins={','.join(ADMISSION)}",
        "--allow-privileged=true",
        f"--feature-gates=HPAScaleToZero={str(wish.hpa_scale_to_zero).lower()}",
        *kubelet_access(run),
        *aggregation(run),
        *audit(run, wish),
    ]


def kubelet_access(run: layout.Run) -> list[str]:
    """Build how the API server reaches kubelets: by address, else logs and exec look up names in DNS."""
    return [
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={run.certificate('ca')}",
        f"--kubelet-client-certificate={run.certificate('kubelet-client')}",
        f"--kubelet-client-key={run.key('kubelet-client')}",
    ]


def aggregation(run: layout.Run) -> list[str]:
    """Build what an aggregated API (metrics) needs; endpoints are reached directly, not by ClusterIP."""
    return [
        f"--requestheader-client-ca-file={run.certificate('front-proxy-ca')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={run.certificate('front-proxy-client')}",
        f"--proxy-client-key-file={run.key('front-proxy-client')}",
        "--enable-aggregator-routing=true",
    ]


def audit(run: layout.Run, wish: options.Options) -> list[str]:
    """Build the audit log's flags, if anyone is audited."""
    if not wish.audit_users:
        return []
    return [
        f"--audit-policy-file={run.folder / 'audit.json'}",
        f"--audit-log-path={run.audit}",
        "--audit-log-maxsize=2000",
    ]


def controller_manager(run: layout.Run, wish: options.Options) -> list[str]:
    """Build the controllers' flags; the HPA's sync period stays at its default, for users can't change theirs."""
    return [
        f"--kubeconfig={run.kubeconfig('kube-controller-manager')}",
        f"--service-account-private-key-file={run.key('service-account')}",
        f"--root-ca-file={run.certificate('ca')}",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--feature-gates=HPAScaleToZero={str(wish.hpa_scale_to_zero).lower()}",
        *rate(wish),
    ]


def scheduler(run: layout.Run, wish: options.Options) -> list[str]:
    """Build the scheduler's flags."""
    return [
        f"--kubeconfig={run.kubeconfig('kube-scheduler')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        *rate(wish),
    ]


def rate(wish: options.Options) -> list[str]:
    """Build the request rate of a controller, if it shall differ from Kubernetes' own."""
    if wish.controllers_qps is None:
        return []
    return [f"--kube-api-qps={wish.controllers_qps}", f"--kube-api-burst={2 * wish.controllers_qps}"]


def kwok(run: layout.Run) -> list[str]:
    """Build kwok's flags: it acts for the nodes that bear its annotation and no others."""
    return [
        f"--kubeconfig={run.kubeconfig('kwok')}",
        f"--config={run.folder / 'kwok-stages.yaml'}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--cidr=10.128.0.0/10",
        f"--node-ip={options.API_ADDRESS}",
        "--node-lease-duration-seconds=40",
    ]


def containerd(run: layout.Run, node: options.NodePlan) -> list[str]:
    """Build containerd's flags."""
    return [f"--config={run.node(node.name) / 'containerd.toml'}"]


def kubelet(run: layout.Run, node: options.NodePlan) -> list[str]:
    """Build the kubelet's flags; most of its settings are in its file."""
    folder = run.node(node.name)
    return [
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={run.kubeconfig(node.name)}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet-pki'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]


def proxy(run: layout.Run, node: options.NodePlan) -> list[str]:
    """Build kube-proxy's flags; the conntrack limits belong to the host and may not be set from a namespace."""
    return [
        f"--kubeconfig={run.kubeconfig('kube-proxy')}",
        f"--hostname-override={node.name}",
        f"--cluster-cidr={options.POD_NETWORK}",
        "--proxy-mode=nftables",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]


def metrics_server(run: layout.Run) -> list[str]:
    """Build metrics-server's flags; a resolution of 10 s or less is refused."""
    return [
        f"--kubeconfig={run.kubeconfig('metrics-server')}",
        f"--authentication-kubeconfig={run.kubeconfig('metrics-server')}",
        f"--authorization-kubeconfig={run.kubeconfig('metrics-server')}",
        f"--secure-port={METRICS_SERVER_PORT}",
        f"--tls-cert-file={run.certificate('kube-apiserver')}",
        f"--tls-private-key-file={run.key('kube-apiserver')}",
        "--kubelet-insecure-tls",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=15s",
    ]


def coredns(run: layout.Run) -> list[str]:
    """Build CoreDNS' flags."""
    return [f"-conf={run.folder / 'Corefile'}"]
