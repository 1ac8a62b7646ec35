"""What was measured, as a table beside the other operator's, and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Other(NamedTuple):
    """What another operator took: 95th percentiles in seconds, and CPU a model."""

    children: float
    ready: float
    cpu_ms: float


KSERVE: Final = {100: Other(7.3, 10.5, 35), 250: Other(18.2, 25.9, 34), 500: Other(39.1, 58.6, 37)}
"""KServe 0.20's controller under the same work, on 2 cores, one run each (12 writes, 3 dry runs, 21 reads each)."""
_HEAD: Final = (
    "| models | children p50 / p95 / max s | Ready p50 / p95 s | CPU ms a model until Ready / settled | writes | reads "
    "| memory / peak MB | KServe: children, Ready p95; CPU ms |\n|---|---|---|---|---|---|---|---|"
)


def table(runs: list[dict[str, Any]]) -> str:
    """Return the burst table."""
    return "\n".join((_HEAD, *(_row(run) for run in runs)))


def _row(run: dict[str, Any]) -> str:
    children, ready, other = run["children"], run["ready"], KSERVE.get(run["count"])
    beside = f"{other.children}, {other.ready}; {other.cpu_ms}" if other else ""
    cells = (
        run["count"],
        f"{children.get('p50')} / {children.get('p95')} / {children.get('max')}",
        f"{ready.get('p50')} / {ready.get('p95')}",
        f"{run['cpu_ms']} / {run['cpu_ms_settled']}",
        run["writes_a_model"],
        run["reads_a_model"],
        f"{run['memory_mb']} / {run['peak_mb']}",
        beside,
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Draw the seconds until 95 of 100 models have their children, and are Ready, against the number of models."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # a second to import

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for what, colour in (("children", "tab:blue"), ("ready", "tab:green")):
        ours = [(run["count"], run[what]["p95"]) for run in runs if run[what].get("p95")]
        axes.plot(*zip(*ours, strict=True), color=colour, marker="o", label=f"Foresail, {what} p95")
        other = [(count, getattr(one, what)) for count, one in KSERVE.items()]
        axes.plot(*zip(*other, strict=True), color=colour, marker="x", linestyle=":", label=f"KServe, {what} p95")
    axes.set(xlabel="models applied at once", ylabel="seconds", ylim=(0, None), xlim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
