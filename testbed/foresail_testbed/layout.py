"""Where a run keeps its files: one folder a cluster, gone when the cluster is."""

import dataclasses
import os
from pathlib import Path

RUNS_VARIABLE = "FORESAIL_TESTBED_RUNS"
ASSETS_VARIABLE = "FORESAIL_TESTBED_ASSETS"


def runs_folder() -> Path:
    """Return the folder of all runs; short, for a Unix socket's path may have 107 characters only."""
    return Path(os.environ.get(RUNS_VARIABLE, "/tmp/foresail-testbed"))  # noqa: S108 (runs.make_folder checks)


def cache_folder() -> Path:
    """Return the folder that keeps built programs and images between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "foresail"


@dataclasses.dataclass(frozen=True)
class Run:
    """The files of one cluster."""

    folder: Path

    @classmethod
    def named(cls, name: str) -> "Run":
        """Return the run of that name, whether it exists or not."""
        return cls(runs_folder() / name)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """Held by the keeper as long as the cluster lives."""
        return self.folder / "keeper.lock"

    @property
    def spec(self) -> Path:
        """What is to be started: options and programs."""
        return self.folder / "spec.json"

    @property
    def state(self) -> Path:
        """Process ids, written by the keeper."""
        return self.folder / "state.json"

    @property
    def socket(self) -> Path:
        """Where the supervisor inside takes orders."""
        return self.folder / "control.sock"

    @property
    def logs(self) -> Path:
        """A log a component."""
        return self.folder / "log"

    @property
    def audit(self) -> Path:
        """The API server's audit log."""
        return self.logs / "audit.jsonl"

    @property
    def bin(self) -> Path:
        """Links to all programs of this run."""
        return self.folder / "bin"

    @property
    def outside_kubeconfig(self) -> Path:
        """The administrator's kubeconfig for this machine's own shell; there once the forwarder is."""
        return self.folder / "outside.kubeconfig"

    @property
    def forward_lock(self) -> Path:
        """Held by the forwarder as long as it forwards."""
        return self.folder / "forward.lock"

    @property
    def pause_image(self) -> Path:
        """The image that holds every pod's namespaces."""
        return self.folder / "pause.tar"

    def key(self, name: str) -> Path:
        """Return a private key's file."""
        return self.folder / "pki" / f"{name}.key"

    def certificate(self, name: str) -> Path:
        """Return a certificate's file."""
        return self.folder / "pki" / f"{name}.crt"

    def kubeconfig(self, user: str) -> Path:
        """Return a user's kubeconfig."""
        return self.folder / f"{user}.kubeconfig"

    def node(self, name: str) -> Path:
        """Return the folder of a node's kubelet, containerd and network settings."""
        return self.folder / name
