"""The programs a cluster consists of, and where each comes from."""

import dataclasses

from foresail_testbed import options

MULTI_CALL = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")


@dataclasses.dataclass(frozen=True)
class Program:
    """A Go module of ours that pins another's, and what `go build` makes of it."""

    name: str
    version: str
    packages: dict[str, str]
    """What is built: file name to Go package."""
    seconds: int
    """How long a build takes on two cores, for the progress bar."""
    links: tuple[str, ...] = ()
    """Names under which the one file is called."""
    ldflags: str = "-s -w"
    module_folder: str = ""
    """Folder of go.mod and go.sum under the program's own, where there are several versions."""
    keep: dict[str, str] = dataclasses.field(default_factory=dict)
    """Files to copy out of a module: target folder to `module:path`."""

    @property
    def files(self) -> tuple[str, ...]:
        """The names that must exist once it is built."""
        return (*self.packages, *self.links)


def kubernetes(version: str = options.KUBERNETES_VERSION) -> Program:
    """Return the control plane and the kubelet as one program, stamped with its version."""
    stamp = "k8s.io/component-base/version"
    major, minor, _ = version.split(".")
    values = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "unknown",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    stamps = " ".join(f"-X {stamp}.{name}={value}" for name, value in values.items())
    return Program(
        name="kubernetes",
        version=version,
        packages={"kubernetes": "."},
        seconds=340,
        links=MULTI_CALL,
        ldflags=f"-s -w {stamps}",
        module_folder=f"v{version}",
    )


ETCD = Program("etcd", "3.7.3", {"etcd": "."}, seconds=17)
KWOK = Program(
    "kwok",
    "0.8.0",
    {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    seconds=61,
    keep={"kwok-stages": "sigs.k8s.io/kwok:kustomize/stage"},
)
CONTAINERD = Program(
    "containerd",
    "2.4.2",
    {
        name: f"github.com/containerd/containerd/v2/cmd/{name}"
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
    seconds=57,
)
CNI = Program(
    "cni",
    "1.9.1",
    {
        name: f"github.com/containernetworking/plugins/plugins/{kind}/{name}"
        for name, kind in (("ptp", "main"), ("loopback", "main"), ("host-local", "ipam"), ("portmap", "meta"))
    },
    seconds=6,
)
METRICS_SERVER = Program(
    "metrics-server", "0.9.0", {"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"}, seconds=106
)
COREDNS = Program("coredns", "1.15.0", {"coredns": "."}, seconds=60)
PAUSE = Program("pause", "1", {"pause": "."}, seconds=3)
HELM = Program("helm", "4.3.1", {"helm": "helm.sh/helm/v4/cmd/helm"}, seconds=87)
KIND = Program("kind", "0.33.0", {"kind": "sigs.k8s.io/kind"}, seconds=20)


def needed(wish: options.Options) -> list[Program]:
    """Return the programs that a cluster of this shape runs."""
    found = [kubernetes(wish.kubernetes), ETCD]
    if wish.kwok_nodes:
        found.append(KWOK)
    if wish.kubelets:
        found += [CONTAINERD, CNI, PAUSE]
        found += [METRICS_SERVER] if wish.metrics_server else []
        found += [COREDNS] if wish.dns else []
    return found


def every(version: str = options.KUBERNETES_VERSION) -> list[Program]:
    """Return all programs that a cluster or its tests use, the quick ones first; kind is for machines with Docker."""
    return [PAUSE, CNI, ETCD, CONTAINERD, KWOK, COREDNS, HELM, METRICS_SERVER, kubernetes(version)]
