"""Words for a pod that starts and says nothing itself: they stand in Events only.

A volume that can't be mounted leaves no trace in a pod's status. Events are not watched (a cluster has far more of
them than models), so those of one pod are read, and only once it has been starting for longer than a pod does.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from foresail_operator.api import kinds
from foresail_operator.api.conditions import Reason
from foresail_operator.status.pods import Trouble

if TYPE_CHECKING:
    from foresail_operator.kube import Kube
    from foresail_operator.live import Key
    from foresail_operator.status.pods import Pod

_FIRST_SECONDS: Final = 6.0
_LONGEST_SECONDS: Final = 60.0
_REASONS: Final = {
    "FailedMount": Reason.VOLUME,
    "FailedAttachVolume": Reason.VOLUME,
    "FailedCreatePodSandBox": Reason.CONFIG,
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """When to ask about a pod next, after which pause, and what was answered last."""

    pod: str
    next_at: float
    pause: float
    words: Trouble | None = None


class Explainer:
    """Asks why pods that start don't get further, with growing pauses."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._asked: dict[Key, _Asked] = {}

    def forget(self, key: Key) -> None:
        """Drop what is known of a model whose pods have got further."""
        self._asked.pop(key, None)

    async def explain(self, key: Key, pod: Pod, now: float) -> tuple[Trouble | None, float]:
        """Return what holds a starting pod up, if anything, and the seconds after which to ask again."""
        asked = self._asked.get(key)
        if asked is None or asked.pod != pod.uid:
            asked = self._asked[key] = _Asked(pod.uid, now + _FIRST_SECONDS, _FIRST_SECONDS)
        if now >= asked.next_at:
            query = {"fieldSelector": f"involvedObject.uid={pod.uid},type=Warning", "limit": "50"}
            found = choose(await self._kube.list(kinds.EVENT, key[0], query))
            pause = min(asked.pause * 2, _LONGEST_SECONDS)
            asked = self._asked[key] = _Asked(pod.uid, now + pause, pause, found)
        return asked.words, asked.next_at - now


def choose(events: list[dict[str, Any]]) -> Trouble | None:
    """Return the newest of a pod's Events that says what holds it up."""
    known = [one for one in events if one.get("reason") in _REASONS]
    newest = max(known, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default=None)
    return Trouble(_REASONS[newest["reason"]], " ".join(newest["message"].split())[:1000]) if newest else None
