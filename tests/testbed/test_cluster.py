"""A cluster with kubelets: real pods from images of our own making."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from foresail_testbed import cluster, external, images, namespaces

pytestmark = pytest.mark.e2e

IMAGE = "localhost/testbed-greeter:1"
DOCKERFILE = """ARG BASE
FROM ${BASE}
COPY index.html /web/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "-m", "http.server", "8080", "--directory", "/web"]
"""
METRICS_SECONDS = 120
FAST_SECONDS = 3.0


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "index.html").write_text("good day")
    return images.ensure(folder / "Dockerfile", IMAGE)


@pytest.fixture
def greeter(cluster: cluster.Cluster, image: Path, namespace: str) -> str:
    """A Deployment and a Service that answer a greeting; returns the namespace."""
    cluster.load_image(image)
    deploy_greeter(cluster, namespace)
    return namespace


def deploy_greeter(where: cluster.Cluster, namespace: str) -> None:
    container = {
        "name": "greeter",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    labels = {"app": "greeter"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "greeter"}, "spec": spec}
    where.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(deployment))
    where.kubectl("expose", "-n", namespace, "deployment/greeter", "--port=80", "--target-port=8080")
    where.kubectl("rollout", "status", "-n", namespace, "deployment/greeter", "--timeout=120s")


def ask(url: str) -> str:
    """Ask a Service; kube-proxy may need a second for a new one, so a refused connection is tried again."""
    command = ["curl", "-sS", "--retry", "20", "--retry-delay", "1", "--retry-connrefused", "-m", "30", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=40).stdout


def ask_from_pod(where: cluster.Cluster, namespace: str, url: str) -> str:
    code = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=10).read().decode())"
    return where.execute(
        ["kubectl", "exec", "-n", namespace, "deploy/greeter", "--", "python3", "-c", code]
    ).stdout.strip()


def test_service_is_reached_from_the_test_process_and_from_pods_by_name(cluster: cluster.Cluster, greeter: str) -> None:
    with cluster.reach(greeter, "greeter", 80) as url:
        assert ask(url) == "good day"
    assert ask_from_pod(cluster, greeter, f"http://greeter.{greeter}.svc") == "good day"


def test_foreign_cluster_is_reached_through_a_forwarded_port(cluster: cluster.Cluster, greeter: str) -> None:
    foreign = external.External(cluster.outside_kubeconfig())
    with namespaces.at_home(), foreign.reach(greeter, "greeter", 80) as url:
        assert ask(url) == "good day"


def test_pods_outlive_their_kubelet_and_containerd(cluster: cluster.Cluster, greeter: str) -> None:
    for name in ("kubelet.node-1", "containerd.node-1"):
        cluster.stop_component(name, kill=True)
    with cluster.reach(greeter, "greeter", 80) as url:
        assert ask(url) == "good day"
    for name in ("containerd.node-1", "kubelet.node-1"):
        cluster.start_component(name)
    cluster.kubectl("wait", "--for=condition=Ready", "node/node-1", "--timeout=60s")
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods(cluster, greeter)] == [0]


def pods(where: cluster.Cluster, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = where.get("pods", "-n", namespace)["items"]
    return found


def test_names_outside_the_cluster_are_refused_at_once(cluster: cluster.Cluster, greeter: str) -> None:
    began = time.monotonic()
    assert ask_from_pod(cluster, greeter, "http://www.example.org") == ""
    assert time.monotonic() - began < FAST_SECONDS


def test_metrics_server_measures_the_node(cluster: cluster.Cluster) -> None:
    path = "/apis/metrics.k8s.io/v1beta1/nodes/node-1"
    done = cluster.execute(
        ["timeout", str(METRICS_SECONDS), "sh", "-c", f"until kubectl get --raw {path}; do sleep 1; done"],
        METRICS_SECONDS + 10,
    )
    assert json.loads(done.stdout)["usage"]["cpu"]


def test_added_node_runs_pods_that_the_first_node_reaches(
    cluster: cluster.Cluster, image: Path, namespace: str
) -> None:
    others = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
    added = cluster.add_node()
    cluster.load_image(image)
    cluster.kubectl("cordon", *others)
    try:
        deploy_greeter(cluster, namespace)
    finally:
        cluster.kubectl("uncordon", *others)
    assert {pod["spec"]["nodeName"] for pod in pods(cluster, namespace)} == {added}
    with cluster.reach(namespace, "greeter", 80) as url:
        assert ask(url) == "good day"


def test_pretended_gpu_is_given_to_a_pod_that_asks_for_it(cluster: cluster.Cluster, namespace: str) -> None:
    cluster.pretend_gpus("node-1", 2, "NVIDIA-A100-SXM4-80GB", 81559)
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "c", "image": "localhost/foresail-pause:1", "imagePullPolicy": "Never", "resources": resources}
    spec = {"containers": [container], "nodeSelector": {"nvidia.com/gpu.memory": "81559"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gpu"}, "spec": spec}
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=PodScheduled", "pod/gpu", "-n", namespace, "--timeout=30s")


def test_thread_leaves_the_cluster_for_what_needs_package_servers_and_comes_back(cluster: cluster.Cluster) -> None:
    here = namespaces.OWN.readlink()
    with namespaces.at_home():
        assert namespaces.OWN.readlink() != here
    assert namespaces.OWN.readlink() == here


def test_unchanged_image_is_not_built_again(image: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "index.html").write_text("good day")
    before = image.stat().st_ino
    assert images.ensure(tmp_path / "Dockerfile", IMAGE).stat().st_ino == before
