"""The proxies in front of a model, and what HAProxy is told."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest

from foresail_operator.desired import activator, haproxy, images, meta, proxy
from tests.operator.conftest import IMAGES, PROXIES

if TYPE_CHECKING:
    from foresail_operator.desired.plan import Plan
    from tests.operator.conftest import MakeModel, MakePlan


def by_kind(plan: Plan) -> dict[str, dict[str, Any]]:
    return {f"{child['kind']}/{child['metadata']['name']}": child for child in plan.children}


def pod(model: Any) -> dict[str, Any]:
    _, deployment, _ = proxy.build(model, PROXIES)
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def test_where_ipv6_comes_first_addresses_of_both_families_are_listened_on(make_model: MakeModel) -> None:
    text = haproxy.build(make_model(), "cluster.local", ipv6=True)
    binds = [line.split()[:3] for line in text.splitlines() if line.strip().startswith("bind")]
    assert binds == [["bind", f"[::]:{port}", "v4v6"] for port in (8080, 8081, 8082)]
    assert "v4v6" not in haproxy.build(make_model(), "cluster.local")


def test_a_model_has_proxies_only_when_it_asks(make_model: MakeModel, make_plan: MakePlan) -> None:
    asked, plain = (by_kind(make_plan(make_model(**spec))) for spec in ({"loadBalancing": "request"}, {}))
    configuration = next(name for name in asked if name.startswith("ConfigMap/fraud-proxy-"))
    added = {"Service/fraud-direct", "Deployment/fraud-proxy", "PodDisruptionBudget/fraud-proxy", configuration}
    assert asked.keys() - plain.keys() == added
    assert plain.keys() < asked.keys()


def test_what_selects_replicas_selects_no_proxy_and_the_other_way_round(make_model: MakeModel) -> None:
    labels = pod(make_model(loadBalancing="request"))["metadata"]["labels"]
    assert not meta.selector("fraud").items() <= labels.items()
    assert meta.proxy_selector("fraud").items() <= labels.items()
    assert not meta.proxy_selector("fraud").items() <= meta.labels(make_model()).items()


def test_proxies_restart_no_replica_and_a_version_of_the_model_restarts_no_proxy(make_model: MakeModel) -> None:
    before, after = make_model(), make_model(loadBalancing="request")
    pinned = images.choose(before, None, IMAGES)
    assert images.choose(after, pinned, IMAGES) is pinned
    newer = make_model(loadBalancing="request", model={"uri": "https://h/b.onnx", "version": "2"})
    assert pod(newer) == pod(after)


def test_a_proxys_pod_is_as_restricted_as_podsecurity_asks(make_model: MakeModel) -> None:
    spec = pod(make_model(loadBalancing="request"))["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("hold_seconds", [0, 120], ids=["no activator", "held"])
def test_a_stopping_proxy_has_time_to_be_forgotten_and_for_the_longest_request(
    make_model: MakeModel, hold_seconds: int
) -> None:
    """Which is one that the activator holds to the end and a replica answers in its last moment."""
    setup = dataclasses.replace(PROXIES, hold_seconds=hold_seconds)
    model = make_model(loadBalancing="request", serving={"timeoutSeconds": 30})
    configuration, deployment, _ = proxy.build(model, setup)
    spec = deployment["spec"]["template"]["spec"]
    (text,) = configuration["data"].values()
    (stop,) = (int(found) for found in re.findall(r"hard-stop-after (\d+)s", text))
    assert stop == max(int(found) for found in re.findall(r"timeout server (\d+)s", text)) > hold_seconds + 30
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(proxy.FORGET_SECONDS)]
    assert spec["terminationGracePeriodSeconds"] > proxy.FORGET_SECONDS + stop


@pytest.mark.parametrize(
    ("spec", "slots"),
    [
        ({}, 16),
        ({"replicas": 0}, 16),
        ({"replicas": 12}, 16),
        ({"replicas": 13}, 32),
        ({"scaling": {"maxReplicas": 256}}, 512),
    ],
)
def test_there_is_room_for_the_most_replicas_and_those_of_a_rollout(
    make_model: MakeModel, spec: dict[str, Any], slots: int
) -> None:
    model = make_model(loadBalancing="request", **spec)
    assert haproxy.slots(model) == slots
    assert haproxy.build(model, "cluster.local").count(f"server-template pod {slots} fraud-pods.team.svc.") == 2


def test_a_size_within_the_room_changes_no_configuration(make_model: MakeModel) -> None:
    one, more = (haproxy.build(make_model(replicas=count), "cluster.local") for count in (1, 8))
    assert one == more


def test_a_replicas_share_is_two_batches(make_model: MakeModel) -> None:
    assert haproxy.share(make_model(serving={"batching": {"maxSize": 4}})) == 8
    assert haproxy.share(make_model()) == haproxy.SHARE


@pytest.mark.parametrize(("queue", "share"), [(1, 1), (4, 2), (15, 8), (31, 16), (1000, 16)])
def test_both_proxies_together_give_a_replica_no_more_than_it_takes(
    make_model: MakeModel, queue: int, share: int
) -> None:
    assert haproxy.share(make_model(serving={"maxQueueSize": queue})) == share


def test_health_is_asked_by_the_models_name_unless_that_takes_a_token(make_model: MakeModel) -> None:
    open_, guarded = make_model(), make_model(serving={"auth": {"secretName": "tokens"}})
    assert "uri /v2/models/fraud/ready " in haproxy.build(open_, "cluster.local")
    assert "uri /v2/health/ready " in haproxy.build(guarded, "cluster.local")


def test_names_end_as_the_clusters_do(make_model: MakeModel) -> None:
    assert "fraud-direct.team.svc.example.test:80 " in haproxy.build(make_model(), "example.test")


def test_behind_proxies_the_activator_stands_in_past_them(make_model: MakeModel) -> None:
    made = activator.build(make_model(loadBalancing="request"), activator.Roles(("10.0.0.9",), ()), 3, proxied=True)
    assert made["metadata"]["name"] == "fraud-direct-activator"
    assert made["metadata"]["labels"][activator.SERVICE_NAME_LABEL] == "fraud-direct"


def test_proxies_go_where_replicas_may_but_keep_to_no_gpu_nodes(make_model: MakeModel) -> None:
    model = make_model(
        loadBalancing="request",
        pod={
            "labels": {"team": "risk", "sidecar.istio.io/inject": "false"},
            "annotations": {"note": "here", "prometheus.io/port": "8080"},
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        },
    )
    found = pod(model)
    assert {"team": "risk", "sidecar.istio.io/inject": "false"}.items() <= found["metadata"]["labels"].items()
    assert found["metadata"]["annotations"]["note"] == "here"
    assert "prometheus.io/port" not in found["metadata"]["annotations"]
    assert found["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert found["spec"]["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
