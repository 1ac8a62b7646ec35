"""The plot: replicas after a step, both ways, and each wake-up by phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")  # no display needed
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path


def draw(path: Path, found: dict[str, Any]) -> None:
    """Write one PNG of what was measured; parts that were not are left out."""
    parts = [name for name in ("step", "wake", "noise", "latency") if name in found]
    if not parts:
        return
    figure, axes = plt.subplots(len(parts), 1, figsize=(10, 3.2 * len(parts)), squeeze=False)
    for axis, part in zip(axes[:, 0], parts, strict=True):
        {"step": _step, "wake": _wake, "noise": _noise, "latency": _latency}[part](axis, found[part])
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, ncols=4)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _step(axis: Any, found: dict[str, Any]) -> None:
    for way, color in (("foresail", "#2471a3"), ("cpu", "#ca6f1e")):
        at, asked, ready = zip(*found[way]["line"], strict=True)
        axis.step(at, asked, where="post", color=color, lw=1.0, ls="--", label=f"{way}: asked for")
        axis.step(at, ready, where="post", color=color, lw=1.8, label=f"{way}: ready")
    axis.axvline(0, color="black", lw=0.8)
    axis.set(xlabel="seconds after the step", ylabel="replicas", title="A step that needs four replicas")


def _wake(axis: Any, found: dict[str, Any]) -> None:
    rounds = found["rounds"]
    bottom = [0.0] * len(rounds)
    for phase in found["phases_p50_seconds"]:
        height = [one.get(phase, 0.0) for one in rounds]
        axis.bar(range(1, len(rounds) + 1), height, bottom=bottom, label=phase, width=0.8)
        bottom = [low + more for low, more in zip(bottom, height, strict=True)]
    axis.plot(range(1, len(rounds) + 1), [one["seconds"] for one in rounds], "k.", label="first answer")
    axis.set(xlabel="wake-up", ylabel="seconds", title="From zero to the first answer")


def _noise(axis: Any, found: dict[str, Any]) -> None:
    at, asked, _ = zip(*found["line"], strict=True)
    axis.step(at, asked, where="post", color="#2471a3", label="asked for")
    axis.set(xlabel="seconds", ylabel="replicas", title="Noise around a mean that stays")


def _latency(axis: Any, found: dict[str, Any]) -> None:
    at, p95 = zip(*found["windows"], strict=True)
    axis.step(at, p95, where="post", color="#2471a3", label="p95 of 20 s, ms")
    axis.axhline(found["objective_milliseconds"], color="black", lw=0.8, label="objective, ms")
    at, _, ready = zip(*found["line"], strict=True)
    beside = axis.twinx()
    beside.step(at, ready, where="post", color="#ca6f1e", lw=1.0)
    beside.set(ylabel="replicas ready", ylim=(0, None))
    axis.set(xlabel="seconds after the step", ylabel="ms", yscale="log", title="A step under a p95 objective")
