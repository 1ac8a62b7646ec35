"""Kubernetes Events for what a person would look for with `kubectl describe`, each said once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from foresail_operator import errors
from foresail_operator.api import kinds, v1alpha1
from foresail_operator.api.conditions import Reason, Type
from foresail_operator.desired import digests

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment
    from foresail_operator.kube import Kube

_LOG: Final = logging.getLogger(__name__)
_COMPONENT: Final = "foresail-operator"
NORMAL: Final = "Normal"
SCALING_UP: Final = "ScalingUp"
SCALING_DOWN: Final = "ScalingDown"
_QUIET: Final = frozenset(
    {
        Reason.CREATING,
        Reason.PODS_STARTING,
        Reason.LOADING,
        Reason.ROLLING_OUT,
        Reason.SCALING,
        Reason.WAITING_FOR_REMOVAL,
    }
)
"""Reasons on the way to Ready that nobody is helped by reading about."""


def choose(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> tuple[str, str, str] | None:
    """Return type, reason and message of the Event that a change of conditions deserves; None for most changes."""
    was, now = _news(before), _news(after)
    return None if now is None or (was is not None and was[:2] == now[:2]) else now


def _news(conditions: list[dict[str, Any]]) -> tuple[str, str, str] | None:
    """Return what a person would be told of these conditions: a trouble before all else."""
    true = {one["type"]: one for one in conditions if one["status"] == "True"}
    trouble = true.get(Type.STALLED) or true.get(Type.RECONCILING)
    if trouble is not None and trouble["reason"] not in _QUIET:
        return "Warning", trouble["reason"], trouble["message"]
    if (ready := true.get(Type.READY)) is not None:
        return NORMAL, ready["reason"], ready["message"]
    return None


def resized(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[str, str, str] | None:
    """Return type, reason and message of the Event for a size that is newly wanted; the first one is no change."""
    was, now = (before or {}).get("desired"), (after or {}).get("desired")
    if was is None or now is None or was == now or after is None:
        return None
    return (
        NORMAL,
        SCALING_UP if now > was else SCALING_DOWN,
        f"from {was} {'replica' if was == 1 else 'replicas'} to {after.get('reason', now)}",
    )


class Recorder:
    """Writes Events; that one can't be written stops nothing."""

    def __init__(self, kube: Kube, reporter: str) -> None:
        self._kube = kube
        self._reporter = reporter

    async def record(self, model: ModelDeployment, kind: str, reason: str, message: str, now: str) -> None:
        """Write one Event about a model."""
        metadata = model.metadata
        name = f"{metadata.name[:200].rstrip('-.')}.{digests.short([metadata.uid, reason, message, now], 16)}"
        event = {
            "apiVersion": kinds.EVENT.api_version,
            "kind": kinds.EVENT.name,
            "metadata": {"name": name, "namespace": metadata.namespace},
            "involvedObject": {
                "apiVersion": v1alpha1.API_VERSION,
                "kind": v1alpha1.KIND,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._reporter,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._kube.create(kinds.EVENT, event)
        except errors.ApiError as error:
            _LOG.warning("an Event was not written", extra={"reason": reason, "error": str(error)})
