"""What is known about a model when its status is computed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from foresail_operator.api.conditions import Reason

if TYPE_CHECKING:
    from foresail_operator.status.pods import Pod, Trouble


_NO_REPLICA_SET: Final = "ReplicaSetCreateError"
"""What the Deployment's controller says, which then sets no number any more."""
_DOUBLED: Final = "AmbiguousSelector"
"""What the autoscalers' controller says where another one sizes the same pods; it then moves neither."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why the operator can't do its part, in words that say what to do."""

    reason: Reason
    message: str
    there: str = ""
    """Kind and name of the child of ours that it is about, where that is known to be there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rollout:
    """The Deployment's numbers; all zero while there is none."""

    wanted: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    current: bool = False
    """Whether the numbers speak of the Deployment's present spec."""
    stuck: str | None = None
    """The words of an exceeded deadline."""
    refused: str | None = None
    """Why the ReplicaSet, or its pods, can't be created, in the API server's words."""
    paused: bool = False
    """Somebody has told the controller to roll nothing out."""

    @property
    def complete(self) -> bool:
        """Whether every replica is of the newest revision and ready, and no other is left."""
        return self.current and self.wanted == self.updated == self.replicas == self.ready


@dataclasses.dataclass(frozen=True, slots=True)
class Scaler:
    """What the HorizontalPodAutoscaler says of itself."""

    active: bool | None = None
    """None: it has not looked yet, or not since the size was 0."""
    words: str = ""
    there: bool = True
    """Whether there is one."""
    doubled: bool = False
    """Whether another one sizes the same pods, which stops both."""


@dataclasses.dataclass(frozen=True, slots=True)
class Advice:
    """The size that a model's load asks for."""

    desired: int
    signal: str | None
    """Type of the metric that asks for it; None while nothing is known."""
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class LoadScaling:
    """How a model that scales on its load is scaled."""

    mode: str
    words: str
    """Why this mode, in a sentence."""
    by_bounds: bool
    """Whether the HPA has nothing to read: it can't ask for the load, and the operator sets its bounds instead."""
    advice: Advice | None = None
    """None while too little was seen to say anything."""


@dataclasses.dataclass(frozen=True, slots=True)
class ColdStart:
    """How long the last start took while no replica was ready, and which part of it how long."""

    seconds: float
    phases: tuple[tuple[str, float], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All of it."""

    generation: int
    revision: str
    rollout: Rollout
    pods: tuple[Pod, ...]
    scaler: Scaler | None
    """None: the size is fixed."""
    load: LoadScaling | None = None
    """None: it does not scale on its load."""
    cold_start: ColdStart | None = None
    """None: none was seen; what status says stays."""
    sleepy: bool = False
    """Whether the model may sleep at zero."""
    proved: bool = False
    """Whether a replica of this revision has answered some time."""
    problem: Problem | None = None
    reachable: bool = True
    """Whether there is a Service of the model's own that leads to its replicas."""
    proxies: tuple[Pod, ...] | None = None
    """None: the model has none."""
    proxies_refused: str | None = None
    """Why proxies can't be created, in the API server's words."""
    hint: Trouble | None = None
    """Why pods that say nothing themselves don't start, where Events told."""

    @property
    def asleep(self) -> bool:
        """Whether the model sleeps, and will answer as it did before.

        From the moment its size is 0: the watches of pods and of the Deployment are not in step, and a status written
        between the two would forget that this revision was proved.
        """
        return self.sleepy and self.proved and self.rollout.wanted == 0

    @property
    def starting(self) -> Pod | None:
        """Return a pod of this revision that has been scheduled, does not answer and does not say why."""
        silent = (pod for pod in self.pods if pod.revision == self.revision and not pod.ready and not pod.ending)
        return next((pod for pod in silent if pod.trouble is None), None)


def rollout(deployment: dict[str, Any] | None) -> Rollout:
    """Read a Deployment."""
    if deployment is None:
        return Rollout()
    status, spec = deployment.get("status") or {}, deployment["spec"]
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    progressing = conditions.get("Progressing", {})
    late = progressing.get("reason") == Reason.NOT_PROGRESSING
    return Rollout(
        wanted=spec.get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        current=status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0),
        stuck=progressing.get("message", "") if late else None,
        refused=_refused(progressing, conditions.get("ReplicaFailure", {})),
        paused=spec.get("paused", False),
    )


def _refused(progressing: dict[str, Any], failure: dict[str, Any]) -> str | None:
    """Return the words of what could not be created: pods, else the ReplicaSet itself."""
    if failure.get("status") == "True":
        return str(failure.get("message", ""))
    return progressing.get("message", "") if progressing.get("reason") == _NO_REPLICA_SET else None


def scaler(autoscaler: dict[str, Any] | None) -> Scaler:
    """Read a HorizontalPodAutoscaler."""
    if autoscaler is None:
        return Scaler(there=False)
    status = autoscaler.get("status") or {}
    active = next((one for one in status.get("conditions") or () if one["type"] == "ScalingActive"), None)
    if active is None or active.get("reason") == Reason.SCALING_DISABLED:
        return Scaler()
    doubled = active.get("reason") == _DOUBLED
    return Scaler(active=active["status"] == "True", words=active.get("message", ""), doubled=doubled)
