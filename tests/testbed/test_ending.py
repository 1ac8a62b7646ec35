"""A cluster ends with its owner, and nothing of it is left."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foresail_testbed import cgroups, cluster, errors, layout, mounts, options, plugin, runs

START_SECONDS = 240.0
END_SECONDS = 60.0

HOLDER = """
import json, pathlib, signal
import pytest
from foresail_testbed import options

@pytest.fixture(scope="session")
def cluster_options():
    return options.Options(name="NAME", nodes=2, dns=False, metrics_server=False)

def test_holds(cluster, namespace):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "held"}, "spec": {"containers": [
        {"name": "pause", "image": "localhost/foresail-pause:1", "imagePullPolicy": "Never"}]}}
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/held", "-n", namespace, "--timeout=120s")
    cluster.popen(["sleep", "600"])
    print("HOLDING", flush=True)
    signal.pause()
"""


@pytest.mark.e2e
def test_nothing_is_left_of_a_cluster_with_kubelets_when_its_test_run_is_killed(tmp_path: Path) -> None:
    name = cluster.unique_name("killed")
    before = picture(name)
    (tmp_path / "test_holder.py").write_text(HOLDER.replace("NAME", name))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(tmp_path)]
    its_own = {name: value for name, value in os.environ.items() if name not in plugin.VARIABLES}
    with subprocess.Popen(command, cwd=tmp_path, env=its_own, stdout=subprocess.PIPE, text=True) as test_run:
        try:
            wait_for_line(test_run, "HOLDING")
            during, keeper_end = picture(name), watch_keeper(name)
        finally:
            test_run.kill()
    assert during != before
    wait_for_end(keeper_end)
    assert picture(name) == before


@pytest.mark.cluster
def test_inside_dies_with_its_keeper_and_what_is_left_is_removed_afterwards() -> None:
    plane = cluster.Cluster.start(options.Options(name=cluster.unique_name("orphan"), nodes=0))
    inside = os.pidfd_open(plane.init_pid)
    os.kill(plane.keeper_pid, signal.SIGKILL)
    wait_for_end(inside)
    assert not runs.alive(plane.run)
    assert plane.run.folder.exists()
    plane.stop()
    assert not plane.run.folder.exists()


@pytest.mark.cluster
def test_second_cluster_of_the_same_name_is_refused_with_the_way_out(control_plane: cluster.Cluster) -> None:
    with pytest.raises(errors.TestbedError, match=f"down --name {control_plane.run.name}"):
        cluster.Cluster.start(options.Options(name=control_plane.run.name, nodes=0))
    assert control_plane.kubectl("get", "--raw", "/readyz") == "ok"


@pytest.mark.cluster
def test_kept_cluster_outlives_the_process_that_started_it() -> None:
    name = cluster.unique_name("kept")
    script = (
        "from foresail_testbed import cluster, options\n"
        f"cluster.Cluster.start(options.Options(name={name!r}, nodes=0)).keep()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=START_SECONDS)
    kept = cluster.Cluster.attach(name)
    try:
        assert kept.kubectl("get", "--raw", "/readyz") == "ok"
    finally:
        kept.stop()
    assert not kept.run.folder.exists()


def picture(name: str) -> dict[str, object]:
    """What of a run the machine shows: processes, mounts, network, groups, files."""
    run = layout.Run.named(name)
    return {
        "processes": sorted(processes_naming(str(run.folder))),
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if name in line],
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "groups": cgroups.existing(name),
        "folder": run.folder.exists(),
        "places": [place for place in mounts.NODE if Path(place).exists()],
    }


def processes_naming(text: str) -> list[str]:
    """Return the command lines that contain a text."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in command:
            found.append(command)
    return found


def watch_keeper(name: str) -> int:
    """Return a descriptor that becomes readable when the run's keeper has ended."""
    return os.pidfd_open(cluster.Cluster.attach(name).keeper_pid)


def wait_for_end(process: int) -> None:
    """Wait until a process has ended."""
    ready, _, _ = select.select([process], [], [], END_SECONDS)
    os.close(process)
    assert ready, "the process did not end"


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> None:
    """Read a process' output until a line contains a text."""
    assert process.stdout is not None
    seen = []
    while select.select([process.stdout], [], [], START_SECONDS)[0]:
        line = process.stdout.readline()
        seen.append(line)
        if text in line:
            return
        if not line:
            break
    pytest.fail("".join(seen))
