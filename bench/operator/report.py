"""What was measured, as a table beside the other operator's, and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

KSERVE: Final = {
    100: {"children": (4.2, 7.3), "ready": (9.4, 10.5), "cpu_ms": 35, "peak_mb": 98.6},
    250: {"children": (9.2, 18.2), "ready": (23.3, 25.9), "cpu_ms": 34, "peak_mb": 112.2},
    500: {"children": (20.6, 39.1), "ready": (51.5, 58.6), "cpu_ms": 37, "peak_mb": 135.3},
}
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
    beside = f"{other['children'][1]}, {other['ready'][1]}; {other['cpu_ms']}" if other else ""  # type: ignore[index]
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
        other = [(count, values[what][1]) for count, values in KSERVE.items()]  # type: ignore[index]
        axes.plot(*zip(*other, strict=True), color=colour, marker="x", linestyle=":", label=f"KServe, {what} p95")
    axes.set(xlabel="models applied at once", ylabel="seconds", ylim=(0, None), xlim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
