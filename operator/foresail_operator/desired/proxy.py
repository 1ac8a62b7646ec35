"""The proxy of a model whose load is spread request by request: HAProxy pods, their configuration, their budget.

The model's own Service leads to the proxies while one of them is ready, and to the replicas while none is: a proxy that
can't start costs evenness, not requests. A Service past them leads to the replicas, or to the activator that stands
in for them; it is the proxies' way out when they know no replica.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_operator.api.kinds import CONFIG_MAP, DEPLOYMENT, DISRUPTION_BUDGET, Manifest
from foresail_operator.desired import disruption, haproxy, meta, names
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

CONTAINER: Final = "haproxy"
CONFIGURATION_VOLUME: Final = "configuration"
_FOLDER: Final = "/etc/foresail/haproxy"
_FILE: Final = "haproxy.cfg"
FORGET_SECONDS: Final = 5
"""Longer than a removed endpoint needs to reach every node's kube-proxy. HAProxy stops listening as soon as it is told
to end, so here a hook has to wait, which the runtime does itself."""
_RESERVE_SECONDS: Final = 5
_REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
_LIMITS: Final = {"memory": "256Mi"}


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """What differs between installations."""

    image: str
    pull_policy: str
    cluster_domain: str
    """What Services' names end in; DNS clients inside pods add it by themselves, HAProxy's does not."""
    ipv6: bool = False
    """Whether the cluster's first family is IPv6."""
    hold_seconds: int = 0
    """How long the activator holds a request; 0: there is none."""


def wanted(model: ModelDeployment) -> bool:
    """Return whether a model has proxies."""
    return model.spec.load_balancing == "request"


def build(model: ModelDeployment, setup: Setup) -> tuple[Manifest, ...]:
    """Return the children in the order of writing."""
    configuration = _configuration(model, setup)
    mounted: str = configuration["metadata"]["name"]
    return configuration, _deployment(model, setup, mounted), _budget(model)


def _configuration(model: ModelDeployment, setup: Setup) -> Manifest:
    """Return the ConfigMap: immutable, and of another name when its content is another (docs/decisions/0002)."""
    text = haproxy.build(model, setup.cluster_domain, hold_seconds=setup.hold_seconds, ipv6=setup.ipv6)
    name = names.proxy_configuration(model.metadata.name, text)
    return meta.child(model, CONFIG_MAP, name, data={_FILE: text}, immutable=True)


def _deployment(model: ModelDeployment, setup: Setup, configuration: str) -> Manifest:
    spec: Manifest = {
        "replicas": haproxy.PROXIES,
        "selector": {"matchLabels": meta.proxy_selector(model.metadata.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "revisionHistoryLimit": 2,
        "template": _template(model, setup, configuration),
    }
    return meta.child(model, DEPLOYMENT, names.proxy(model.metadata.name), spec=spec)


def _budget(model: ModelDeployment) -> Manifest:
    spec = {
        "maxUnavailable": disruption.MAX_UNAVAILABLE,
        "selector": {"matchLabels": meta.proxy_selector(model.metadata.name)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return meta.child(model, DISRUPTION_BUDGET, names.proxy(model.metadata.name), spec=spec)


def _template(model: ModelDeployment, setup: Setup, configuration: str) -> Manifest:
    pod = model.spec.pod
    grace_seconds = FORGET_SECONDS + haproxy.stay_seconds(model, setup.hold_seconds) + _RESERVE_SECONDS
    selector = {"labelSelector": {"matchLabels": meta.proxy_selector(model.metadata.name)}}
    # A replica's node selector is not the proxy's: it may name nodes with GPUs, which a proxy would keep from leaving.
    optional = {
        "nodeSelector": meta.ON_LINUX,
        "tolerations": [item.plain() for item in pod.tolerations],
        "priorityClassName": pod.priority_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in pod.image_pull_secrets],
    }
    return {
        "metadata": {
            "labels": {**pod.labels, **meta.proxy_labels(model)},
            "annotations": {**_annotations(model), meta.MODEL_ANNOTATION: model.metadata.name},
        },
        "spec": {
            "containers": [_container(setup)],
            "volumes": [{"name": CONFIGURATION_VOLUME, "configMap": {"name": configuration, "defaultMode": 0o444}}],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": grace_seconds,
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "matchLabelKeys": ["pod-template-hash"],
                    **selector,
                }
            ],
            **{name: value for name, value in optional.items() if value},
        },
    }


def _annotations(model: ModelDeployment) -> dict[str, str]:
    """Return the user's, without those that would have a replica's numbers read through a proxy."""
    return {name: text for name, text in model.spec.pod.annotations.items() if not name.startswith("prometheus.io/")}


def _container(setup: Setup) -> Manifest:
    ports = {
        contract.HTTP_PORT_NAME: contract.HTTP_PORT,
        contract.GRPC_PORT_NAME: contract.GRPC_PORT,
        "status": haproxy.STATUS_PORT,
    }
    return {
        "name": CONTAINER,
        "image": setup.image,
        "imagePullPolicy": setup.pull_policy,
        "command": ["haproxy", "-db", "-f", f"{_FOLDER}/{_FILE}"],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "resources": {"requests": _REQUESTS, "limits": _LIMITS},
        "volumeMounts": [{"name": CONFIGURATION_VOLUME, "mountPath": _FOLDER, "readOnly": True}],
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(FORGET_SECONDS)]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe(haproxy.LIVE_PATH, period=1, failures=60),
        "readinessProbe": _probe(haproxy.READY_PATH, period=1, failures=3),
        "livenessProbe": _probe(haproxy.LIVE_PATH, period=10, failures=3),
    }


def _probe(path: str, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "status", "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    }
