"""What a pod says about itself: one small value of all that its status has in it."""

from __future__ import annotations

import dataclasses
import logging
import re
from typing import Any, Final

from foresail_operator.api.conditions import FROM_RUNTIME, Reason
from foresail_operator.desired import accelerator, meta, proxy, template
from foresail_runtime import contract

_LOG: Final = logging.getLogger(__name__)
_BACK_OFF: Final = re.compile(r'^Back-off pulling image "[^"]*"(: ErrImagePull: )?')
_PULL_REASONS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,10}$")
_LONGEST_WORDS: Final = 1000
_CONTAINERS: Final = frozenset({template.CONTAINER, proxy.CONTAINER})
_CONFIGURATIONS: Final = frozenset({template.DESCRIPTION_VOLUME, proxy.CONFIGURATION_VOLUME})


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod does not answer: the reason, and the words of whoever stopped it."""

    reason: Reason
    words: str


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """What is read of a pod."""

    name: str
    uid: str
    version: int
    revision: str
    """"" for a pod that no ReplicaSet has: it is a replica of none."""
    ready: bool
    ending: bool
    description: str | None = None
    """Name of the ConfigMap that it mounts."""
    address: str | None = None
    restarts: int = 0
    trouble: Trouble | None = None
    proxy: bool = False
    """Whether it is a proxy in front of replicas, not a replica."""
    tls: bool = False
    """Whether its ports speak TLS, whatever the spec says by now."""
    deletion_cost: int | None = None
    """What its annotation says of how late it goes when its ReplicaSet shrinks; None: it has none."""

    def same(self, other: Pod | None) -> bool:
        """Tell whether nothing that is read differs."""
        return other is not None and dataclasses.replace(self, version=0) == dataclasses.replace(other, version=0)


def read(raw: dict[str, Any]) -> Pod:
    """Keep of a pod what is read."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    container = _container(status)
    ready = _condition(status, "Ready").get("status") == "True"
    restarts, trouble = (0, None) if ready else _said(raw, status, container)
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        revision=labels.get(meta.REVISION_LABEL, "") if _is_replica(metadata) else "",
        ready=ready,
        ending="deletionTimestamp" in metadata or status.get("phase") in {"Succeeded", "Failed"},
        description=_description(raw),
        address=status.get("podIP"),
        restarts=max(container.get("restartCount", 0), restarts),
        trouble=trouble,
        proxy=meta.PROXY_LABEL in labels,
        tls=_speaks_tls(raw),
        deletion_cost=_deletion_cost(metadata),
    )


def _said(raw: dict[str, Any], status: dict[str, Any], container: dict[str, Any]) -> tuple[int, Trouble | None]:
    """Return restarts, of a container that others added, and the trouble of a pod that is not ready.

    All kinds of people and programs write what is read here. Where a bug of ours stumbles over it, the pod is known as
    any other, and its trouble is that bug: unknown, it would be missing, and the whole operator called behind.
    """
    try:
        trouble = _trouble(raw, status, container)
        return (0, trouble) if trouble is not None else _stranger(status) or (0, None)
    except Exception as error:  # noqa: BLE001  # see above: the trace is in the log, the bug in the status
        metadata = raw["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        fields = {"namespace": metadata.get("namespace"), "pod": name, "uid": uid}
        _LOG.exception("what a pod says could not be read", extra=fields)
        words = f"what pod {name} says could not be read: {type(error).__name__}: {error}"
        return 0, Trouble(Reason.INTERNAL_ERROR, _cut(words))


def _is_replica(metadata: dict[str, Any]) -> bool:
    """Tell whether a ReplicaSet has made a pod and still has it; whoever copies its labels makes no replica of his."""
    owners = metadata.get("ownerReferences") or ()
    return any(owner.get("controller") and owner["kind"] == "ReplicaSet" for owner in owners)


def _deletion_cost(metadata: dict[str, Any]) -> int | None:
    text = (metadata.get("annotations") or {}).get(meta.DELETION_COST_ANNOTATION)
    return int(text) if text is not None and _WHOLE_NUMBER.match(text) else None


def _description(raw: dict[str, Any]) -> str | None:
    volumes = raw.get("spec", {}).get("volumes") or ()
    wanted = (volume for volume in volumes if volume["name"] in _CONFIGURATIONS)
    return next((volume.get("configMap", {}).get("name") for volume in wanted), None)


def _speaks_tls(raw: dict[str, Any]) -> bool:
    mounts = (mount for one in raw.get("spec", {}).get("containers") or () for mount in one.get("volumeMounts") or ())
    return any(mount.get("mountPath") == contract.TLS_FOLDER for mount in mounts)


def _container(status: dict[str, Any]) -> dict[str, Any]:
    found = (one for one in status.get("containerStatuses") or () if one["name"] in _CONTAINERS)
    return next(found, {})


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((one for one in status.get("conditions") or () if one["type"] == kind), {})


def _trouble(raw: dict[str, Any], status: dict[str, Any], container: dict[str, Any]) -> Trouble | None:
    """Return the first trouble on a pod's way: scheduled, its container made, running, not ending again."""
    if status.get("phase") == "Failed" and status.get("reason") == "Evicted":
        return Trouble(Reason.EVICTED, status.get("message", ""))
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        words = scheduled.get("message") or scheduled.get("reason") or ""
        cards = accelerator.asked({"containers": (), **raw.get("spec", {})}, template.CONTAINER)
        sentence = words if not cards or words.endswith((".", "!", "?")) else f"{words}."
        return Trouble(Reason.UNSCHEDULABLE, _cut(f"{sentence} {cards}"))
    return _waiting(container) or _ended(raw, container)


def _stranger(status: dict[str, Any]) -> tuple[int, Trouble] | None:
    """Return restarts and trouble of the first container that others added and that keeps the pod up."""
    found = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    for one in found:
        if one["name"] in _CONTAINERS or one.get("ready"):
            continue
        if (said := _waiting(one) or _failed(one)) is not None:
            words = f"container {one['name']}, which was added to the pod: {said.words}"
            return one.get("restartCount", 0), Trouble(said.reason, _cut(words))
    return None


def _failed(container: dict[str, Any]) -> Trouble | None:
    """Return how a container that is not ours ended last; it stays the answer while the next try is not ready."""
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or not ended.get("exitCode"):
        return None
    line = ((ended.get("message") or "").strip().splitlines() or [ended.get("reason") or ""])[-1]
    return Trouble(Reason.CRASH, f"it ended with exit code {ended['exitCode']}: {line}")


def _waiting(container: dict[str, Any]) -> Trouble | None:
    waiting = container.get("state", {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL_REASONS:
        return Trouble(Reason.IMAGE, _cut(_BACK_OFF.sub("", message) or message or reason))
    if reason in _CONFIG_REASONS:
        return Trouble(Reason.CONFIG, _cut(message or reason))
    return None


def _ended(raw: dict[str, Any], container: dict[str, Any]) -> Trouble | None:
    """Return how the container ended last; it stays the answer while the next try has not become ready."""
    state, last = container.get("state", {}), container.get("lastState", {})
    ended = state.get("terminated") or last.get("terminated")
    if ended is None:
        return None
    message = (ended.get("message") or "").strip()
    said = contract.Termination.decode(message)
    if ended.get("reason") == "OOMKilled":
        return Trouble(Reason.OUT_OF_MEMORY, _killed(_memory_limit(raw), said.memory_bytes if said else None))
    if said is not None and said.reason in FROM_RUNTIME:
        return Trouble(Reason(said.reason), _cut(said.message))
    words = f"{said.reason}: {said.message}" if said else (message.splitlines() or [""])[-1]
    code = f"the container ended with exit code {ended.get('exitCode')}"
    return Trouble(Reason.CRASH, _cut(f"{code}: {words}" if words else code))


def _killed(limit: str | None, held: int | None) -> str:
    words = f"the container was killed at its memory limit{f' of {limit}' if limit else ''}"
    return words if held is None else f"{words}; its runtime last reported {held >> 20}Mi in use"


def _memory_limit(raw: dict[str, Any]) -> str | None:
    containers = raw.get("spec", {}).get("containers") or ()
    ours = (one for one in containers if one["name"] == template.CONTAINER)
    return next((one.get("resources", {}).get("limits", {}).get("memory") for one in ours), None)


def _cut(words: str) -> str:
    words = words.strip()
    return words if len(words) <= _LONGEST_WORDS else words[: _LONGEST_WORDS - 1] + "…"
