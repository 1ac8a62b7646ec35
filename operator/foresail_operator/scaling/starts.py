"""How long a pod took from its creation until it was ready, and which part of it how long.

Times in the API have a resolution of a second, so none of them is used. What the API server shows is timed when the
watch shows it; what happens in the process the runtime times itself, and tells with its age for a minute: so the moment
when the process began is known on our clock.

```
 created ─ schedule ─ bound ─ pull ─ process begins ─ start·fetch·verify·load·warm ─ answers ─ ready ─ seen ready
 (watch)             (watch)         (heard - age)     (by the runtime's clock)                         (watch)
```
`pull` is everything that the kubelet does before the process: sandbox, image, volumes, container. `ready` is what comes
after it: the probe, and the way of its outcome to us. A pod that was there before we watched, or whose runtime is too
old to tell, is left out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime.contract import START_PHASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_runtime.contract import Load

PHASES: Final = ("schedule", "pull", *START_PHASES, "ready")
PATIENCE_SECONDS: Final = 30.0
"""So long after it was ready a pod is given to tell."""


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds."""

    seconds: float
    phases: dict[str, float]


@dataclasses.dataclass(slots=True)
class _Birth:
    created: float
    bound: float | None = None
    ready: float | None = None


class Starts:
    """Times pods that are created while it watches."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._births: dict[str, _Birth] = {}

    def see(self, event: str | None, raw: dict[str, Any]) -> None:
        """Take in a pod as its watch shows it."""
        uid = raw["metadata"]["uid"]
        if event == "DELETED" or "deletionTimestamp" in raw["metadata"]:
            self._births.pop(uid, None)
            return
        holds = {one["type"] for one in raw.get("status", {}).get("conditions") or () if one["status"] == "True"}
        if event == "ADDED" and "Ready" not in holds and uid not in self._births:
            self._births[uid] = _Birth(self._clock())
        birth = self._births.get(uid)
        if birth is None:
            return
        if birth.bound is None and "PodScheduled" in holds:
            birth.bound = self._clock()
        if birth.ready is None and "Ready" in holds:
            birth.ready = self._clock()

    def ready(self) -> list[str]:
        """Return the uids of pods that are ready and whose start has not been told."""
        late = [
            uid for uid, birth in self._births.items() if birth.ready and birth.ready < self._clock() - PATIENCE_SECONDS
        ]
        for uid in late:
            del self._births[uid]
        return [uid for uid, birth in self._births.items() if birth.ready is not None]

    def tell(self, uid: str, load: Load | None, heard_at: float) -> Start | None:
        """Return a start, once; None while the pod has not told its part."""
        birth = self._births.get(uid)
        if birth is None or birth.ready is None or load is None or load.age_seconds is None or not load.phases:
            return None
        del self._births[uid]
        return measure(birth.created, birth.bound, birth.ready, heard_at - load.age_seconds, load.phases)


def measure(created: float, bound: float | None, ready: float, began: float, inside: dict[str, float]) -> Start:
    """Return a start from four moments on one clock and what the process says of itself; no phase is negative."""
    bound = min(began, created if bound is None else bound)
    outside = {"schedule": bound - created, "pull": began - bound, "ready": ready - began - sum(inside.values())}
    phases = {name: max(0.0, (outside | inside).get(name, 0.0)) for name in PHASES}
    return Start(ready - created, phases)
