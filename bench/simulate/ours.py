"""Foresail's policy in the simulator: the operator's own decisions, an HPA that looks every 15 s, the burst path."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_operator.scaling import decide, model, signal

if TYPE_CHECKING:
    from bench.simulate.world import Setting, View

LOOK_SECONDS: Final = 0.5
SYNC_SECONDS: Final = 15.0


@dataclasses.dataclass
class Foresail:
    """Looks at the pods each half second, raises at once, and lets the HPA do the rest."""

    setting: Setting
    scale_down_delay_seconds: float = 30.0
    next_look: float = LOOK_SECONDS
    next_sync: float = 5.0
    before: View | None = None

    def __post_init__(self) -> None:
        goal = model.Goal(signal.Kind.CONCURRENCY, self.setting.target)
        bounds = decide.Bounds(self.setting.minimum, self.setting.maximum)
        plan = model.Plan((goal,), bounds, self.scale_down_delay_seconds)
        self.scaler = model.ModelScaler(plan, now=0.0)

    def look(self, view: View) -> int | None:
        """Sample, then rise, or let the HPA have its look."""
        if view.now < self.next_look - 1e-6:
            return None
        self.next_look += LOOK_SECONDS
        self._sample(view)
        rise = self.scaler.rise(view.wanted, view.now)
        if rise is not None:
            return rise.replicas
        if view.now < self.next_sync - 1e-6:
            return None
        self.next_sync += SYNC_SECONDS
        return self._hpa(view)

    def _sample(self, view: View) -> None:
        before, self.before = self.before, view
        if before is None:
            return
        seconds = view.now - before.now
        refused = (view.refused - before.refused) / seconds
        requests = (view.requests - before.requests) / seconds
        sample = signal.Sample(
            at=view.now,
            concurrency=(view.load_seconds - before.load_seconds) / seconds,
            queued=view.queued,
            requests_per_second=requests,
            pods=view.ready,
            refused_per_second=refused,
            refusals=(signal.Refusal("", refused, requests - refused),) if refused else (),
        )
        self.scaler.take(sample, view.wanted, view.now)

    def _hpa(self, view: View) -> int:
        """Reckon as the HPA does from the served number, its limit on growth included."""
        wanted = self.scaler.advise(view.wanted, view.now).replicas
        return min(wanted, max(2 * view.wanted, view.wanted + 4))
