"""Labels, annotations and owner references: how a child says whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foresail_operator.api import v1alpha1
from foresail_operator.desired import digests, names

if TYPE_CHECKING:
    from foresail_operator.api.kinds import Kind, Manifest
    from foresail_operator.api.v1alpha1 import ModelDeployment

FIELD_MANAGER: Final = "foresail"
"""The one name under which we write."""
SIZE_MANAGER: Final = "foresail-size"
"""Keeps spec.replicas in our place while an autoscaler takes over, so that it is not reset to its default."""

_PREFIX: Final = v1alpha1.GROUP
MODEL_LABEL: Final = f"{_PREFIX}/model"
"""names.base of the model: what selectors select."""
PROXY_LABEL: Final = f"{_PREFIX}/proxy"
"""names.base of the model on its proxies, which have no MODEL_LABEL: what selects replicas must not select them."""
REVISION_LABEL: Final = f"{_PREFIX}/revision"
MODEL_ANNOTATION: Final = f"{_PREFIX}/model"
"""The ModelDeployment's whole name, which may be too long for a label."""
APPLIED_ANNOTATION: Final = f"{_PREFIX}/applied"
"""Digest of all that we want of the object: a field we no longer want shows as a difference here."""

DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Kubernetes' own: of a ReplicaSet's ready pods those with the lowest number go first; without it, it is 0."""

ON_LINUX: Final = {"kubernetes.io/os": "linux"}
"""The nodes that our images run on, as node selectors have it."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "foresail"
OURS: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""Label selector of everything that watches and lists look at."""


def selector(name: str) -> dict[str, str]:
    """Return the labels that select a model's pods; they never change while it lives."""
    return {MODEL_LABEL: names.base(name)}


def proxy_selector(name: str) -> dict[str, str]:
    """Return the labels that select a model's proxies."""
    return {PROXY_LABEL: names.base(name)}


def proxy_labels(model: ModelDeployment) -> dict[str, str]:
    """Return the labels of a proxy's pod; a new version of the model is none of the proxy's."""
    return {
        "app.kubernetes.io/name": "foresail-proxy",
        "app.kubernetes.io/instance": names.base(model.metadata.name),
        "app.kubernetes.io/component": "proxy",
        MANAGED_BY_LABEL: MANAGED_BY,
        **proxy_selector(model.metadata.name),
    }


def labels(model: ModelDeployment) -> dict[str, str]:
    """Return the labels of every child and replica."""
    return {
        "app.kubernetes.io/name": "foresail-runtime",
        "app.kubernetes.io/instance": names.base(model.metadata.name),
        "app.kubernetes.io/component": "model-server",
        "app.kubernetes.io/version": model.spec.model.version,
        MANAGED_BY_LABEL: MANAGED_BY,
        **selector(model.metadata.name),
    }


def owner(model: ModelDeployment) -> Manifest:
    """Return the owner reference that makes a child go with its ModelDeployment."""
    return {
        "apiVersion": v1alpha1.API_VERSION,
        "kind": v1alpha1.KIND,
        "name": model.metadata.name,
        "uid": model.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child(model: ModelDeployment, kind: Kind, name: str, **body: object) -> Manifest:
    """Return a child: `body` is what stands beside its metadata."""
    manifest: Manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": model.metadata.namespace,
            "labels": labels(model),
            "ownerReferences": [owner(model)],
        },
        **body,
    }
    annotations = {MODEL_ANNOTATION: model.metadata.name, APPLIED_ANNOTATION: digests.short(manifest)}
    return manifest | {"metadata": manifest["metadata"] | {"annotations": annotations}}
