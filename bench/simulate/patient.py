"""The best that waits: knows the future as the ideal does, but takes nothing away before the delay has passed.

The promise of `scaleDownDelaySeconds` and an HPA that looks every 15 s cost replica-seconds, whoever decides. What is
over the ideal here nobody can save who scales in through an HPA and lets the need be lower for the delay first.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bench.simulate.ideal import Ideal
from bench.simulate.ours import SYNC_SECONDS
from foresail_operator.scaling.window import Peak

if TYPE_CHECKING:
    from bench.simulate.traces import Trace
    from bench.simulate.world import Setting, View


@dataclasses.dataclass
class Patient:
    """The ideal going up; down at the HPA's looks, to the most that was needed within the delay."""

    load: Trace
    setting: Setting
    delay_seconds: float = 30.0
    next_sync: float = 5.0

    def __post_init__(self) -> None:
        self._ideal = Ideal(self.load, self.setting)
        self._needed = Peak(self.delay_seconds)

    def look(self, view: View) -> int | None:
        """Rise at once, fall late."""
        wanted = self._ideal.look(view) or 0
        self._needed.add(view.now, wanted)
        if wanted >= view.wanted:
            return wanted
        if view.now < self.next_sync - 1e-6:
            return None
        while self.next_sync <= view.now + 1e-6:
            self.next_sync += SYNC_SECONDS
        return int(self._needed.highest(view.now) or wanted)
