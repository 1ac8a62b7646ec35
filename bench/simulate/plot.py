"""Pictures of runs: replicas against need, one panel a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")  # no display needed
import numpy as np
from matplotlib import pyplot as plt

from bench.simulate.traces import STEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.simulate.world import Run

LACKING = "#c0392b"
SPARE = "#aed6f1"


def draw(path: Path, title: str, runs: Mapping[str, Run]) -> None:
    """Write one PNG: what each policy had against what was needed, and the area between."""
    figure, axes = plt.subplots(len(runs), 1, figsize=(11, 2.2 * len(runs)), sharex=True, sharey=True, squeeze=False)
    for axis, (name, run) in zip(axes[:, 0], runs.items(), strict=True):
        minutes = np.arange(len(run.need)) * STEP_SECONDS / 60
        axis.fill_between(minutes, run.need, run.paid, where=run.paid > run.need, step="post", color=SPARE, lw=0)
        axis.fill_between(minutes, run.ready, run.need, where=run.need > run.ready, step="post", color=LACKING, lw=0)
        axis.step(minutes, run.need, where="post", color="black", lw=0.9, label="needed")
        axis.step(minutes, run.paid, where="post", color="#2471a3", lw=1.1, label="asked for")
        axis.set_title(
            f"{name}: {run.under:.0f} replica-s lacking (red), {run.over:.0f} spare (blue); score {run.score:.0f}",
            fontsize=9,
            loc="left",
        )
        axis.set_ylabel("replicas")
        axis.grid(alpha=0.25)
    axes[0, 0].legend(loc="upper right", fontsize=8, ncols=2)
    axes[-1, 0].set_xlabel("minutes")
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
