"""The picture of a scaling run: load above, replicas below, one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from demo.record import Moment

BLUE, ORANGE, GREY = "#1f6f8b", "#e07b39", "#9aa5ab"


def draw(moments: Sequence[Moment], title: str, path: Path) -> None:
    """Write the plot as PNG."""
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
        load, replicas = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        seconds = [moment.seconds for moment in moments]
        load.plot(seconds, [m.sent_a_second for m in moments], color=GREY, linestyle="--", label="sent")
        load.plot(seconds, [m.answered_a_second for m in moments], color=BLUE, label="answered")
        load.set_ylabel("requests a second")
        load.set_ylim(0, 1.25 * max((m.sent_a_second for m in moments), default=1))
        load.set_title(title)
        load.legend(frameon=False, loc="upper left", ncols=2)
        replicas.step(seconds, [m.wanted for m in moments], where="post", color=GREY, linestyle="--", label="wanted")
        replicas.fill_between(seconds, [m.ready for m in moments], step="post", color=ORANGE, alpha=0.75, label="ready")
        replicas.set_ylabel("replicas")
        replicas.set_xlabel("seconds since the load began")
        replicas.set_ylim(0, max((m.wanted for m in moments), default=1) + 0.6)
        replicas.yaxis.get_major_locator().set_params(integer=True)
        replicas.legend(frameon=False, loc="upper left")
        figure.savefig(path)
