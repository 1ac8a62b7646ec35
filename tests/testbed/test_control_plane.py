"""A control plane without kubelets: what API-level tests build on."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from foresail_testbed import cluster, errors, options

pytestmark = pytest.mark.cluster

# On an idle machine of two cores it takes 5 s; a shared one may be much slower.
START_BOUND_SECONDS = 60.0
SERVE_SECONDS = 60.0


def test_namespace_is_there_during_the_test_and_can_be_written_to(
    control_plane: cluster.Cluster, namespace: str
) -> None:
    control_plane.kubectl("create", "configmap", "note", "-n", namespace, "--from-literal=a=b")
    assert control_plane.get("configmap", "note", "-n", namespace)["data"] == {"a": "b"}


def test_api_server_is_reached_from_the_test_process_itself(control_plane: cluster.Cluster) -> None:
    client = control_plane.api()
    try:
        assert client.get("/version")["gitVersion"] == f"v{control_plane.options.kubernetes}"
    finally:
        client.close()


def test_refusal_of_the_api_server_is_raised_with_its_words(control_plane: cluster.Cluster, namespace: str) -> None:
    with pytest.raises(errors.TestbedError, match="not found"):
        control_plane.kubectl("get", "configmap", "absent", "-n", namespace)


def test_host_kubectl_reaches_the_api_server_through_the_forwarder(control_plane: cluster.Cluster) -> None:
    outside = control_plane.outside_kubeconfig()
    control_plane.leave()
    try:
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={outside}", "get", "--raw", "/readyz"],
            env=control_plane.environment(), capture_output=True, text=True, check=False, timeout=SERVE_SECONDS,
        )  # fmt: skip
    finally:
        control_plane.join()
    assert (done.returncode, done.stdout) == (0, "ok")


def test_forwarder_that_was_killed_is_started_again(control_plane: cluster.Cluster) -> None:
    before = control_plane.outside_kubeconfig().read_text()
    assert control_plane.outside_kubeconfig().read_text() == before
    (killed,) = forwarders(control_plane.run.name)
    ended = os.pidfd_open(killed)
    os.kill(killed, signal.SIGKILL)
    select.select([ended], [], [], SERVE_SECONDS)
    os.close(ended)
    assert control_plane.outside_kubeconfig().read_text() != before
    assert len(forwarders(control_plane.run.name)) == 1


def forwarders(name: str) -> list[int]:
    """Return the process ids of a cluster's forwarders; one that was killed may lie there until it is collected."""
    marks = f"foresail_testbed.forward\0{name}\0".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if marks in read(path)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_process_started_inside_gets_signals_and_its_exit_status_comes_back(
    control_plane: cluster.Cluster, tmp_path: Path
) -> None:
    script = "trap 'exit 7' TERM; echo ready; while :; do read -t 1 _ < /dev/zero; done"
    log = tmp_path / "log"
    with control_plane.popen(["bash", "-c", script], log=log) as started:
        wait_for_text(log, "ready")
        assert started.stop() == 7


def test_cluster_serves_again_after_etcd_and_api_server_were_killed(control_plane: cluster.Cluster) -> None:
    for name in ("kube-apiserver", "etcd"):
        control_plane.stop_component(name, kill=True)
    for name in ("etcd", "kube-apiserver"):
        control_plane.start_component(name)
    with control_plane.joined():
        client = control_plane.api()
        try:
            client.wait_ok("/readyz", SERVE_SECONDS)
        finally:
            client.close()
    assert all(control_plane.components().values())


def test_frozen_component_goes_on_after_it_is_resumed(control_plane: cluster.Cluster, namespace: str) -> None:
    control_plane.pause_component("kube-controller-manager")
    control_plane.kubectl("create", "deployment", "sleepy", "--image=none", "-n", namespace)
    assert control_plane.get("replicasets", "-n", namespace)["items"] == []
    control_plane.resume_component("kube-controller-manager")
    control_plane.kubectl("wait", "--for=create", "replicaset", "-l", "app=sleepy", "-n", namespace, "--timeout=60s")


def test_unknown_component_is_refused_with_the_names_there_are(control_plane: cluster.Cluster) -> None:
    with pytest.raises(errors.TestbedError, match="there is no component 'etc'; there are: etcd"):
        control_plane.stop_component("etc")


def test_pods_come_and_go_on_nodes_of_kwok_and_audited_users_are_logged() -> None:
    wish = options.Options(name=cluster.unique_name("kwok"), nodes=0, kwok_nodes=2, audit_users=("admin",))
    began = time.monotonic()
    plane = cluster.Cluster.start(wish)
    try:
        assert time.monotonic() - began < START_BOUND_SECONDS
        plane.kubectl("create", "deployment", "free", "--image=none", "--replicas=3")
        plane.kubectl("rollout", "status", "deployment/free", "--timeout=60s")
        assert '"username":"admin"' in plane.run.audit.read_text()
    finally:
        plane.stop()


def wait_for_text(path: Path, text: str) -> None:
    subprocess.run(["timeout", "20", "sh", "-c", f"tail -n +1 -F {path} 2>/dev/null | grep -q -m1 {text}"], check=True)
