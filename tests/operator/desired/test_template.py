"""The pod template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from foresail_operator.desired import meta, template
from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.desired.plan import Plan


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def build(model: ModelDeployment) -> dict[str, Any]:
    return template.build(model, "runtime:1", "IfNotPresent", "fraud-model-1")


def container(model: ModelDeployment) -> dict[str, Any]:
    (only,) = build(model)["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def test_template_of_an_unchanged_spec_never_changes(
    make_model: Callable[..., ModelDeployment], make_plan: Callable[..., Plan]
) -> None:
    """An operator upgrade must not restart a model. If this fails, the release would restart running models: keep
    the old template for the specs that are recorded with it; do not just write the new digest here."""
    assert make_plan(make_model()).revision == "ef9f7ee904"
    everything = make_model(
        model={"uri": "pvc://claim/a.onnx", "credentials": {"secretName": "s"}},
        gpu={"memory": "16Gi"},
        serving={"timeoutSeconds": 5},
        resources={"limits": {"cpu": "2"}},
        pod={"labels": {"a": "b"}, "nodeSelector": {"c": "d"}, "env": [{"name": "A", "value": "1"}]},
    )
    assert make_plan(everything).revision == "91df160958"


def test_pod_passes_the_restricted_standard(make_model: Callable[..., ModelDeployment]) -> None:
    spec = build(make_model())["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["automountServiceAccountToken"] is False
    assert container(make_model())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_only_download_and_scratch_folders_are_writable(make_model: Callable[..., ModelDeployment]) -> None:
    model = make_model(model={"uri": "pvc://claim/a/b.onnx", "credentials": {"secretName": "s"}})
    writable = [mount["mountPath"] for mount in container(model)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == [contract.DOWNLOAD_FOLDER, contract.SCRATCH_FOLDER]


def test_user_can_not_take_our_labels_or_variables(make_model: Callable[..., ModelDeployment]) -> None:
    model = make_model(
        pod={
            "labels": {meta.MODEL_LABEL: "other", "team": "risk"},
            "env": [{"name": contract.ENV_DRAIN_SECONDS, "value": "0"}],
        }
    )
    assert build(model)["metadata"]["labels"][meta.MODEL_LABEL] == "fraud"
    last = {variable["name"]: variable.get("value") for variable in container(model)["env"]}
    assert last[contract.ENV_DRAIN_SECONDS] == str(template.DRAIN_SECONDS)  # the last one of a name wins


def test_grace_outlasts_drain_and_the_longest_request(make_model: Callable[..., ModelDeployment]) -> None:
    assert template.grace_seconds(make_model(serving={"timeoutSeconds": 12.5})) == 5 + 13 + 10


def test_probes_ask_the_contracts_paths_and_liveness_gives_a_start_two_minutes(
    make_model: Callable[..., ModelDeployment],
) -> None:
    one = container(make_model())
    assert one["readinessProbe"]["httpGet"]["path"] == contract.READY_PATH
    live = one["livenessProbe"]
    assert live["httpGet"]["path"] == contract.LIVE_PATH
    assert live["initialDelaySeconds"] + live["periodSeconds"] * live["failureThreshold"] == 120
    assert "preStop" not in one.get("lifecycle", {})


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({}, {"cpu": "250m", "memory": "256Mi"}, {"cpu": "1", "memory": "1Gi"}),
        (
            {"limits": {"memory": "128Mi"}},
            {"cpu": "250m", "memory": "128Mi"},
            {"memory": "128Mi"},
        ),
        (
            {"requests": {"cpu": "4"}},
            {"cpu": "4"},
            {"cpu": "4", "memory": "1Gi"},
        ),
        (
            {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 2, "ephemeral-storage": "5Gi"}},
            {"cpu": "1", "memory": "1Gi"},
            {"cpu": "2", "ephemeral-storage": "5Gi"},
        ),
    ],
)
def test_defaults_of_resources_never_contradict_what_was_written(
    make_model: Callable[..., ModelDeployment], given: Any, requests: Any, limits: Any
) -> None:
    assert container(make_model(resources=given))["resources"] == {"requests": requests, "limits": limits}


def test_cpu_limit_reaches_the_runtime_only_where_there_is_one(make_model: Callable[..., ModelDeployment]) -> None:
    def names(**spec: Any) -> list[str]:
        return [variable["name"] for variable in container(make_model(**spec))["env"]]

    assert contract.ENV_CPU_LIMIT in names()
    assert contract.ENV_CPU_LIMIT not in names(resources={"limits": {"memory": "1Gi"}})


def test_replicas_spread_over_nodes_unless_the_user_says_how(make_model: Callable[..., ModelDeployment]) -> None:
    (default,) = build(make_model())["spec"]["topologySpreadConstraints"]
    assert (default["topologyKey"], default["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    own = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    (written,) = build(make_model(pod={"topologySpread": [own]}))["spec"]["topologySpreadConstraints"]
    assert written == {"labelSelector": {"matchLabels": meta.selector("fraud")}, **own}
    assert build(make_model(pod={"topologySpread": []}))["spec"]["topologySpreadConstraints"] == []


def test_gpu_becomes_a_limit_a_toleration_and_the_cards_labels(make_model: Callable[..., ModelDeployment]) -> None:
    model = make_model(gpu={"count": 2, "product": "NVIDIA-L4", "memory": "24Gi"})
    spec = build(model)["spec"]
    assert container(model)["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"] == [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-L4"]},
                {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["22609"]},
            ]
        }
    ]


@pytest.mark.parametrize(
    ("asked", "label", "fits"),
    [
        ("80Gi", 81559, True),  # H100 and A100 80GB
        ("80G", 81559, True),
        ("80Gi", 40536, False),  # A100 40GB
        ("24Gi", 23034, True),  # L4
        ("16Gi", 15109, True),  # T4 with ECC
        ("16Gi", 12288, False),
        ("48Gi", 46068, True),  # L40S
        ("141Gi", 143771, True),  # H200
    ],
)
def test_memory_asked_for_is_met_by_the_cards_of_that_name(
    make_model: Callable[..., ModelDeployment], asked: str, label: int, fits: bool
) -> None:
    affinity = build(make_model(gpu={"memory": asked}))["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert (label > int(term["matchExpressions"][0]["values"][0])) is fits


def test_card_is_required_in_each_alternative_of_the_users_affinity(make_model: Callable[..., ModelDeployment]) -> None:
    own = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": []}, {}]}
        },
        "podAntiAffinity": {"x": 1},
    }
    result = build(make_model(gpu={"product": "A"}, pod={"affinity": own}))["spec"]["affinity"]
    terms = result["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [len(term["matchExpressions"]) for term in terms] == [1, 1]
    assert result["podAntiAffinity"] == {"x": 1}


@pytest.mark.parametrize(
    "own",
    [
        *({"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}} for terms in ({"a": 1}, "x", ["x"], [None])),
        {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": {"a": 1}}]}}},
        {"nodeAffinity": {REQUIRED: ["x"]}},
        {"nodeAffinity": "x"},
    ],
)
def test_an_affinity_of_another_shape_is_left_to_the_api_server_to_refuse(
    make_model: Callable[..., ModelDeployment], own: dict[str, Any]
) -> None:
    assert build(make_model(gpu={"product": "A"}, pod={"affinity": own}))["spec"]["affinity"] == own


def test_affinity_without_a_card_is_the_users_own(make_model: Callable[..., ModelDeployment]) -> None:
    assert build(make_model(gpu={}, pod={"affinity": {"a": 1}}))["spec"]["affinity"] == {"a": 1}
    assert "affinity" not in build(make_model(gpu={}))["spec"]


def test_a_certificate_and_tokens_are_mounted_and_the_probes_speak_tls(
    make_model: Callable[..., ModelDeployment],
) -> None:
    model = make_model(serving={"tls": {"secretName": "cert"}, "auth": {"secretName": "tokens"}})
    found = container(model)
    mounts = {mount["name"]: mount for mount in found["volumeMounts"]}
    assert mounts["tls"] == {"name": "tls", "mountPath": contract.TLS_FOLDER, "readOnly": True}
    assert mounts["tokens"] == {"name": "tokens", "mountPath": contract.TOKENS_FOLDER, "readOnly": True}
    volumes = {volume["name"]: volume for volume in build(model)["spec"]["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == "cert"
    assert volumes["tokens"]["secret"]["secretName"] == "tokens"
    variables = {variable["name"]: variable.get("value") for variable in found["env"]}
    assert variables[contract.ENV_TLS_CERT] == "/etc/foresail/tls/tls.crt"
    assert variables[contract.ENV_TLS_KEY] == "/etc/foresail/tls/tls.key"
    assert variables[contract.ENV_TOKENS] == "/etc/foresail/auth/token"
    assert contract.ENV_TLS_CA not in variables
    probes = ("readinessProbe", "livenessProbe")
    assert {found[probe]["httpGet"]["scheme"] for probe in probes} == {"HTTPS"}


def test_an_access_log_is_written_where_the_spec_says_so(make_model: Callable[..., ModelDeployment]) -> None:
    for serving, expected in (({"accessLog": True}, "1"), ({}, None)):
        variables = {
            variable["name"]: variable.get("value") for variable in container(make_model(serving=serving))["env"]
        }
        assert variables.get(contract.ENV_ACCESS_LOG) == expected


def test_client_certificates_are_asked_for_only_when_the_spec_says_so(
    make_model: Callable[..., ModelDeployment],
) -> None:
    """A Secret that cert-manager makes has ca.crt, whoever is to be let in."""
    model = make_model(serving={"tls": {"secretName": "cert", "clientCertificates": True}})
    variables = {variable["name"]: variable.get("value") for variable in container(model)["env"]}
    assert variables[contract.ENV_TLS_CA] == "/etc/foresail/tls/ca.crt"


def test_replicas_run_on_linux_unless_told_otherwise(make_model: Callable[..., ModelDeployment]) -> None:
    assert build(make_model())["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    told = build(make_model(pod={"nodeSelector": {"kubernetes.io/os": "other", "disk": "ssd"}}))
    assert told["spec"]["nodeSelector"] == {"kubernetes.io/os": "other", "disk": "ssd"}


def test_a_replica_keeps_no_node_from_leaving_for_what_can_be_fetched_again(
    make_model: Callable[..., ModelDeployment],
) -> None:
    name = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
    found = build(make_model())
    volumes = [volume["name"] for volume in found["spec"]["volumes"] if "emptyDir" in volume]
    assert found["metadata"]["annotations"][name] == ",".join(volumes)
    told = build(make_model(pod={"annotations": {name: "none"}}))
    assert told["metadata"]["annotations"][name] == "none"
