"""The pure parts: options, addresses, flags, settings and orders."""

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from foresail_testbed import cgroups, cluster, control, errors, flags, layout, manifests, options, progress

RUN = layout.Run(Path("/runs/one"))


def test_options_survive_the_way_to_the_keeper() -> None:
    wish = options.Options(name="a", nodes=2, audit_users=("x", "y"), controllers_qps=None)
    assert options.Options.decode(wish.encode()) == wish


def test_nodes_never_share_an_address() -> None:
    nodes = [options.NodePlan(index) for index in range(1, options.MAX_NODES + 1)]
    assert len({address for node in nodes for address in (node.name, node.address, node.pods)}) == 3 * len(nodes)


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a_b", "a" * 33, "../up"])
def test_name_that_could_not_be_a_folder_and_a_label_is_refused(name: str) -> None:
    with pytest.raises(errors.TestbedError, match="is no cluster name"):
        cluster.Cluster.start(options.Options(name=name, nodes=0))


@pytest.mark.parametrize("wish", [options.Options(nodes=-1), options.Options(nodes=10), options.Options(kwok_nodes=-1)])
def test_number_of_nodes_that_cannot_be_is_refused(wish: options.Options) -> None:
    with pytest.raises(errors.TestbedError, match="can't be: ask for 0"):
        cluster.Cluster.start(wish)


def test_control_plane_keeps_the_hpa_period_and_sets_a_rate_only_when_asked() -> None:
    asked = flags.controller_manager(RUN, options.Options(controllers_qps=50))
    plain = flags.controller_manager(RUN, options.Options(controllers_qps=None))
    assert not [flag for flag in asked if "horizontal-pod-autoscaler" in flag]
    assert set(asked) - set(plain) == {"--kube-api-qps=50", "--kube-api-burst=100"}


def test_feature_gate_of_scale_to_zero_reaches_server_and_controllers() -> None:
    wish = options.Options(hpa_scale_to_zero=False)
    for command in (flags.apiserver(RUN, wish), flags.controller_manager(RUN, wish)):
        assert "--feature-gates=HPAScaleToZero=false" in command


def test_only_named_users_are_audited() -> None:
    assert not [flag for flag in flags.apiserver(RUN, options.Options()) if "audit" in flag]
    policy = json.loads(manifests.audit_policy(("operator",)))
    assert policy["rules"] == [{"level": "Metadata", "users": ["operator"]}, {"level": "None"}]


def test_kubeconfig_names_server_and_keys() -> None:
    config = json.loads(manifests.kubeconfig(RUN, "admin"))
    assert config["clusters"][0]["cluster"]["server"] == "https://10.254.0.1:6443"
    assert config["users"][0]["user"]["client-key"] == "/runs/one/pki/admin.key"


def test_portable_kubeconfig_carries_the_keys_themselves(tmp_path: Path) -> None:
    run = layout.Run(tmp_path)
    (tmp_path / "pki").mkdir()
    for path in (run.certificate("ca"), run.certificate("admin"), run.key("admin")):
        path.write_text("pem")
    config = json.loads(manifests.portable_kubeconfig(run, "https://127.0.0.1:1"))
    cluster_part = config["clusters"][0]["cluster"]
    assert cluster_part == {"server": "https://127.0.0.1:1", "certificate-authority-data": "cGVt"}
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_cgroup_hierarchies_of_both_versions_are_found() -> None:
    table = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /c2 cgroup2 rw 0 0\n"
    assert cgroups.hierarchies(table) == [(Path("/sys/fs/cgroup/cpu"), False), (Path("/c2"), True)]


def test_orders_are_answered_and_mistakes_come_back_as_words() -> None:
    def refuse(name: str) -> None:
        raise errors.TestbedError(f"no {name}")

    orders = {"double": lambda value: 2 * value, "refuse": refuse}
    assert json.loads(control.answer('{"order": "double", "with": {"value": 2}}', orders)) == {"result": 4}
    assert json.loads(control.answer('{"order": "refuse", "with": {"name": "x"}}', orders)) == {"error": "no x"}
    assert "error" in json.loads(control.answer("not json", orders))
    assert "error" in json.loads(control.answer('{"order": "unknown", "with": {}}', orders))


def test_failed_start_shows_the_end_of_each_log_that_says_something() -> None:
    text = cluster.describe_failure("etcd ended", {"etcd": "disk full", "kwok": ""})
    assert text == "the cluster did not start: etcd ended\n--- etcd\ndisk full"


def test_bar_fills_with_time_and_never_claims_to_be_done() -> None:
    step = progress.Step("building", 100.0, 1000.0)
    assert progress.line(step, 50.0).startswith("[############............] building: 50 s")
    assert progress.line(step, 500.0).startswith("[#######################.] building: 500 s")


def test_lines_of_a_start_that_come_together_are_all_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"event": "step"}\n{"event": "rea')
    os.write(writing, b'dy"}\n')
    os.close(writing)
    found = list(itertools.islice(cluster.lines(reading, time.monotonic() + 5), 3))
    os.close(reading)
    assert found == ['{"event": "step"}', '{"event": "ready"}', cluster.KEEPER_ENDED]
