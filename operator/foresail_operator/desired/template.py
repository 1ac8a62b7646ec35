"""The pod template: a pure function of the ModelDeployment and the pinned runtime image.

An operator upgrade must not restart a model, so what is built here for an unchanged spec must not change between
releases; a golden digest in the tests stands guard.

Stopping is the runtime's work, not a preStop hook's: on SIGTERM, which the kubelet sends at once, the runtime says
that it is not ready, goes on accepting for DRAIN_SECONDS while every node forgets the pod's address, tells kept
connections to close, and then finishes what it has. A preStop sleep would only hide the end from the one process
that can say so to its clients.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from foresail_operator.desired import accelerator, meta, quantities, source
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Manifest
    from foresail_operator.api.v1alpha1 import ModelDeployment, Resources, Serving

CONTAINER: Final = "runtime"
DRAIN_SECONDS: Final = 5
"""Longer than a removed endpoint needs to reach every node's kube-proxy."""
_FINISH_SECONDS: Final = 10
"""For closing sessions and exiting after the last request."""
_START_SECONDS: Final = 60
"""Before liveness is asked for; a process that never listens is started again a minute after."""

DEFAULT_REQUESTS: Final = {"cpu": "250m", "memory": "256Mi"}
DEFAULT_LIMITS: Final = {"cpu": "1", "memory": "1Gi"}

DESCRIPTION_VOLUME: Final = "description"
_MODELS_VOLUME: Final = "models"
_SCRATCH_VOLUME: Final = "scratch"
_CREDENTIALS_VOLUME: Final = "credentials"
_TLS_VOLUME: Final = "tls"
_TOKENS_VOLUME: Final = "tokens"
_EVICTABLE: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": f"{_MODELS_VOLUME},{_SCRATCH_VOLUME}"
}
"""What is fetched can be fetched again: without it, the cluster autoscaler takes no node away that has a replica."""


def build(model: ModelDeployment, image: str, pull_policy: str, description: str) -> Manifest:
    """Return the template without its revision label, which is made from it; `description` is a ConfigMap's name."""
    pod = model.spec.pod
    annotations = {**_EVICTABLE, **pod.annotations, meta.MODEL_ANNOTATION: model.metadata.name}
    return {
        "metadata": {"labels": {**pod.labels, **meta.labels(model)}, "annotations": annotations},
        "spec": {
            "containers": [_container(model, image, pull_policy)],
            "volumes": _volumes(model, description),
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": grace_seconds(model),
            "topologySpreadConstraints": _spread(model),
            **_placement(model),
        },
    }


def mirrored(pod: Manifest) -> Manifest:
    """Return a template that also states the field's older name, which the API server fills with the account's.

    What nobody states nobody takes away, and the account would be filled in again from there once the spec names none.
    It is no part of the revision: it changes no pod.
    """
    account = pod["spec"].get("serviceAccountName")
    return pod | {"spec": pod["spec"] | {"serviceAccount": account}} if account else pod


def grace_seconds(model: ModelDeployment) -> int:
    """Return how long a stopping pod may take: drain, the longest request, and the end."""
    return DRAIN_SECONDS + math.ceil(model.spec.serving.timeout_seconds) + _FINISH_SECONDS


def _container(model: ModelDeployment, image: str, pull_policy: str) -> Manifest:
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": pull_policy,
        "args": ["serve"],
        "ports": [
            {"name": contract.HTTP_PORT_NAME, "containerPort": contract.HTTP_PORT, "protocol": "TCP"},
            {"name": contract.GRPC_PORT_NAME, "containerPort": contract.GRPC_PORT, "protocol": "TCP"},
        ],
        "env": _environment(model),
        "resources": _resources(model),
        "volumeMounts": _mounts(model),
        "terminationMessagePath": contract.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **_probes("HTTPS" if model.spec.serving.tls else "HTTP"),
    }


def _probes(scheme: str) -> Manifest:
    """A fetch may take hours and shows in readiness, while liveness goes on once a start has had its time.

    No startup probe: what follows its success waits for the kubelet's next look at its containers (decision 16).
    """

    def get(path: str, period: int, failures: int, timeout: int) -> Manifest:
        return {
            "httpGet": {"path": path, "port": contract.HTTP_PORT_NAME, "scheme": scheme},
            "periodSeconds": period,
            "failureThreshold": failures,
            "timeoutSeconds": timeout,
        }

    return {
        "readinessProbe": get(contract.READY_PATH, period=1, failures=3, timeout=2),
        "livenessProbe": {
            **get(contract.LIVE_PATH, period=10, failures=6, timeout=5),
            "initialDelaySeconds": _START_SECONDS,
        },
    }


def _environment(model: ModelDeployment) -> list[Manifest]:
    ours: list[Manifest] = [
        {"name": contract.ENV_DESCRIPTION, "value": f"{contract.DESCRIPTION_FOLDER}/{contract.DESCRIPTION_KEY}"},
        {"name": contract.ENV_DRAIN_SECONDS, "value": str(DRAIN_SECONDS)},
        {"name": contract.ENV_POD_NAME, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {
            "name": contract.ENV_POD_NAMESPACE,
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        },
    ]
    if "cpu" in limits(model.spec.resources):
        reference = {"containerName": CONTAINER, "resource": "limits.cpu"}
        ours.append({"name": contract.ENV_CPU_LIMIT, "valueFrom": {"resourceFieldRef": reference}})
    if model.spec.serving.access_log:
        ours.append({"name": contract.ENV_ACCESS_LOG, "value": "1"})
    return [variable.plain() for variable in model.spec.pod.env] + ours + _secured(model.spec.serving)


def _secured(serving: Serving) -> list[Manifest]:
    """Return the variables that name the files of TLS and of tokens."""
    files: list[tuple[str, str]] = []
    if serving.tls:
        folder = contract.TLS_FOLDER
        files += [
            (contract.ENV_TLS_CERT, f"{folder}/{contract.TLS_CERT_KEY}"),
            (contract.ENV_TLS_KEY, f"{folder}/{contract.TLS_KEY_KEY}"),
        ]
        if serving.tls.client_certificates:
            files.append((contract.ENV_TLS_CA, f"{folder}/{contract.TLS_CA_KEY}"))
    if serving.auth:
        files.append((contract.ENV_TOKENS, f"{contract.TOKENS_FOLDER}/{contract.TOKENS_KEY}"))
    return [{"name": name, "value": path} for name, path in files]


def _secrets(model: ModelDeployment) -> list[tuple[str, str, str]]:
    """Return each Secret that is mounted: its volume, its name, and where."""
    credentials, serving = model.spec.model.credentials, model.spec.serving
    wanted = (
        (_CREDENTIALS_VOLUME, credentials, contract.CREDENTIALS_FOLDER),
        (_TLS_VOLUME, serving.tls, contract.TLS_FOLDER),
        (_TOKENS_VOLUME, serving.auth, contract.TOKENS_FOLDER),
    )
    return [(volume, of.secret_name, folder) for volume, of, folder in wanted if of]


def limits(resources: Resources) -> dict[str, str]:
    """Return the limits: what the user wrote; a default only where no limit was written at all."""
    given = resources.limits.plain()
    asked = resources.requests.plain()
    return given or {name: quantities.most(asked.get(name, value), value) for name, value in DEFAULT_LIMITS.items()}


def requests(resources: Resources) -> dict[str, str]:
    """Return the requests: what the user wrote, else defaults that no limit is under."""
    asked = resources.requests.plain()
    bounds = limits(resources)
    return asked or {name: quantities.least(bounds.get(name, value), value) for name, value in DEFAULT_REQUESTS.items()}


def _resources(model: ModelDeployment) -> Manifest:
    gpu = model.spec.gpu
    cards = {gpu.resource_name: str(gpu.count)} if gpu else {}
    return {"requests": requests(model.spec.resources), "limits": {**limits(model.spec.resources), **cards}}


def _volumes(model: ModelDeployment, description: str) -> list[Manifest]:
    volumes: list[Manifest] = [
        {"name": DESCRIPTION_VOLUME, "configMap": {"name": description, "defaultMode": 0o444}},
        {"name": _MODELS_VOLUME, "emptyDir": {}},
        {"name": _SCRATCH_VOLUME, "emptyDir": {}},
    ]
    if volume := source.build(model.spec.model.uri).volume:
        volumes.append({"name": source.VOLUME, **volume})
    for volume_name, secret, _ in _secrets(model):
        volumes.append({"name": volume_name, "secret": {"secretName": secret, "defaultMode": 0o444}})
    return volumes


def _mounts(model: ModelDeployment) -> list[Manifest]:
    mounts: list[Manifest] = [
        {"name": DESCRIPTION_VOLUME, "mountPath": contract.DESCRIPTION_FOLDER, "readOnly": True},
        {"name": _MODELS_VOLUME, "mountPath": contract.DOWNLOAD_FOLDER},
        {"name": _SCRATCH_VOLUME, "mountPath": contract.SCRATCH_FOLDER},
    ]
    if source.build(model.spec.model.uri).volume:
        mounts.append({"name": source.VOLUME, "mountPath": contract.SOURCE_FOLDER, "readOnly": True})
    for volume_name, _, folder in _secrets(model):
        mounts.append({"name": volume_name, "mountPath": folder, "readOnly": True})
    return mounts


def _spread(model: ModelDeployment) -> list[Manifest]:
    selector = {"labelSelector": {"matchLabels": meta.selector(model.metadata.name)}}
    if model.spec.pod.topology_spread is not None:
        return [selector | constraint for constraint in model.spec.pod.topology_spread]
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "matchLabelKeys": ["pod-template-hash"],
            **selector,
        }
    ]


def _placement(model: ModelDeployment) -> Manifest:
    """Return what the user wrote about nodes and identity; what was not written is not there."""
    pod, gpu = model.spec.pod, model.spec.gpu
    tolerations = [item.plain() for item in pod.tolerations]
    optional = {
        "nodeSelector": {**meta.ON_LINUX, **pod.node_selector},
        "tolerations": tolerations + ([accelerator.toleration()] if gpu else []),
        "affinity": accelerator.affinity(pod.affinity, gpu),
        "serviceAccountName": pod.service_account_name,
        "priorityClassName": pod.priority_class_name,
        "runtimeClassName": pod.runtime_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in pod.image_pull_secrets],
    }
    return {name: value for name, value in optional.items() if value}
