"""What the machine must offer, installed where that can be done without asking."""

import os
import shutil
import subprocess
import sys

from foresail_testbed import errors, layout, locks, namespaces

# Command to Debian package; the first group is needed by every cluster, the second by one with kubelets.
ALWAYS = {"unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux", "ip": "iproute2"}
KUBELETS = {"runc": "runc", "nft": "nftables", "conntrack": "conntrack", "mount": "mount"}
IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap", "runc": "runc", "tar": "tar", "find": "findutils"}
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
INSTALL_SECONDS = 600.0


def require(kubelets: bool) -> None:
    """Make sure that a cluster can start here; raises TestbedError with what is missing."""
    require_root()
    install({**ALWAYS, **(KUBELETS if kubelets else {})})
    require_namespaces()


def require_images() -> None:
    """Make sure that images can be built here; raises TestbedError with what is missing."""
    require_root()
    install(IMAGES)


def require_root() -> None:
    """Refuse other systems and users, with the way out."""
    if sys.platform != "linux":
        raise errors.TestbedError("the testbed needs Linux; elsewhere use kind and set FORESAIL_E2E_KUBECONFIG")
    if os.geteuid() != 0:
        raise errors.TestbedError(
            "the testbed makes namespaces and mounts and must run as root: use sudo, "
            "or a cluster of your own through FORESAIL_E2E_KUBECONFIG"
        )


def require_namespaces() -> None:
    """Refuse a machine where root may not make namespaces, before anything is built for a cluster in them."""
    trial = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise errors.TestbedError(
            f"namespaces can't be made here ({done.stderr.strip()}): a container needs --privileged for it"
        )


def missing(commands: dict[str, str]) -> list[str]:
    """Return the packages of the commands that are not there."""
    return sorted({package for command, package in commands.items() if locate(command) is None})


def locate(command: str) -> str | None:
    """Return a command's path, those that only root has included."""
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}")


def find(command: str) -> str:
    """Return the path of a command that was required before."""
    path = locate(command)
    if path is None:
        raise errors.TestbedError(f"{command} is missing: install it with the system's package manager")
    return path


def install(commands: dict[str, str]) -> None:
    """Install the packages of missing commands with apt; raises TestbedError where there is no apt."""
    packages = missing(commands)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise errors.TestbedError(f"these packages are missing, install them first: {', '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    folder = layout.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # apt refuses to work beside itself, and tests and builds that run at once each bring what they need
    with namespaces.at_home(), locks.held(folder / "apt.lock"):
        run_apt(["apt-get", "-q", "update"], environment)
        run_apt(
            ["apt-get", "-qy", "-o", "DPkg::Lock::Timeout=120", "install", "--no-install-recommends", *packages],
            environment,
        )


def run_apt(command: list[str], environment: dict[str, str]) -> None:
    """Run apt-get; raises TestbedError with the end of what it says."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode != 0:
        raise errors.TestbedError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-800:]}")
