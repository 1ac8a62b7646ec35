"""The commands for kind: Docker need not run where these tests do, so they are read, not run."""

from __future__ import annotations

import pathlib

from demo import kind

KUBECONFIG = pathlib.Path("out/kubeconfig")
KUBECTL = ["kubectl", "--kubeconfig=out/kubeconfig"]


def test_cluster_is_made_and_removed_without_the_users_own_kubeconfig() -> None:
    assert kind.create(KUBECONFIG) == [
        "scripts/kind", "create", "cluster", "--name", "foresail-demo", "--kubeconfig", "out/kubeconfig",
        "--wait", "180s",
    ]  # fmt: skip
    assert kind.delete(KUBECONFIG) == [
        "scripts/kind", "delete", "cluster", "--name", "foresail-demo", "--kubeconfig", "out/kubeconfig",
    ]  # fmt: skip


def test_node_is_of_the_image_that_was_asked_for() -> None:
    assert kind.create(KUBECONFIG, "mirror/node:v1.37.2") == [
        *kind.create(KUBECONFIG), "--image", "mirror/node:v1.37.2",
    ]  # fmt: skip


def test_image_goes_to_the_clusters_nodes() -> None:
    assert kind.load_image("localhost/foresail-runtime:0.1.0") == [
        "scripts/kind", "load", "docker-image", "localhost/foresail-runtime:0.1.0", "--name", "foresail-demo",
    ]  # fmt: skip


def test_metrics_server_is_installed_for_kubelets_with_their_own_certificates() -> None:
    apply, patch, wait = kind.install_metrics_server(KUBECTL)
    assert apply == [*KUBECTL, "apply", "-f", kind.METRICS_SERVER]
    assert "--kubelet-insecure-tls" in patch[-1]
    assert wait[-2:] == ["deployment/metrics-server", "--timeout=180s"]


def test_metrics_api_that_nobody_answers_for_is_taken_away_if_it_is_there() -> None:
    assert kind.remove_metrics_api(KUBECTL) == [
        *KUBECTL, "delete", "apiservice", "v1beta1.metrics.k8s.io", "--ignore-not-found",
    ]  # fmt: skip


def test_service_is_forwarded_to_a_free_port_of_loopback_only() -> None:
    assert kind.forward(KUBECTL, "default", "retail-shelf", 80) == [
        *KUBECTL, "-n", "default", "port-forward", "service/retail-shelf", ":80", "--address", "127.0.0.1",
    ]  # fmt: skip
