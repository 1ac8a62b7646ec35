"""What the pytest plugin adds to a run: the user's own cluster, and the picture of a failed test's namespace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foresail_testbed import cluster

pytestmark = pytest.mark.cluster

FAILING = """
import json

def test_fails_beside_a_pod_that_no_node_takes(control_plane, namespace):
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(POD))
    control_plane.kubectl("wait", "--for=condition=PodScheduled=False", "pod/lost", "-n", namespace, "--timeout=60s")
    assert not "this failed"
"""
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "lost"},
    "spec": {"containers": [{"name": "c", "image": "none"}], "nodeSelector": {"disk": "that-no-node-has"}},
}
SECONDS = 120


def run_pytest(folder: Path, source: str, **environment: str) -> str:
    (folder / "test_inner.py").write_text(f"POD = {json.dumps(POD)}\n{source}")
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.stdout


def test_failed_test_shows_the_events_of_its_namespace_on_a_cluster_that_was_there_and_stays(
    control_plane: cluster.Cluster, tmp_path: Path
) -> None:
    output = run_pytest(tmp_path, FAILING, FORESAIL_TESTBED_CLUSTER=control_plane.run.name)
    assert "1 failed" in output
    assert "FailedScheduling" in output
    assert control_plane.kubectl("get", "--raw", "/readyz") == "ok"


def test_cluster_that_is_not_there_is_one_sentence_and_no_stack_trace(tmp_path: Path) -> None:
    source = "def test_needs_a_cluster(control_plane):\n    pass\n"
    output = run_pytest(tmp_path, source, FORESAIL_TESTBED_CLUSTER="absent")
    assert "no cluster named absent runs; start it with `foresail-testbed up --name absent`" in output
    assert "Traceback" not in output
