"""A control plane without kubelets: what API-level tests build on."""

import pytest

from foresail_testbed import access, cluster

pytestmark = pytest.mark.cluster


def test_namespace_is_there_during_the_test_and_can_be_written_to(control_plane: access.Access, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "note", "-n", namespace, "--from-literal=a=b")
    assert control_plane.get("configmap", "note", "-n", namespace)["data"] == {"a": "b"}


def test_api_server_is_reached_from_the_test_process_itself(control_plane: cluster.Cluster) -> None:
    client = control_plane.api()
    try:
        assert client.get("/version")["gitVersion"] == f"v{control_plane.options.kubernetes}"
    finally:
        client.close()
