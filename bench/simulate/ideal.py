"""The ideal that knows the future: it orders each replica just early enough to be there when it is needed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bench.simulate.traces import STEP_SECONDS, Trace
from bench.simulate.world import WARM_UP_SECONDS

if TYPE_CHECKING:
    from bench.simulate.world import Setting, View


@dataclasses.dataclass
class Ideal:
    """Has what is needed, when it is needed, and pays only for the start."""

    load: Trace
    setting: Setting

    def look(self, view: View) -> int | None:
        """Ask for the most that is needed between now and when a pod asked for now would serve."""
        first = max(0, round((view.now - WARM_UP_SECONDS) / STEP_SECONDS))
        last = max(0, round((view.now - WARM_UP_SECONDS + self.setting.start_seconds) / STEP_SECONDS))
        return int(self.setting.need(self.load[first : last + 1]).max())
