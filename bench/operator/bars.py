"""What a run is held to.

Children and Ready in seconds are held to KServe's on the same machine (`beside/`), so here they stand beside its
figures of another one without a verdict; requests, memory and CPU a model travel better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.operator import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITES: Final = 11.0
READS: Final = 2.0
MEMORY_MB: Final = 80.0
MEMORY_MB_A_MODEL: Final = 0.1
READS_A_SECOND: Final = 1.0
LEADS_SECONDS: Final = 3.0
CAUGHT_UP_SECONDS: Final = 20.0
REPAIR_SECONDS: Final = 0.2
FLAT: Final = 1.1
"""Memory within so much of what it was has not grown for what is others'."""


def missed(runs: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each bar that was missed; the last run is the one with chores."""
    found = [f"{run['count']} models: {words}" for run in runs for words in _burst(run)]
    found += _growth(runs[0], runs[-1])
    return found + [f"{name}: {words}" for name, look in _CHORES.items() for words in look(runs[-1].get(name))]


def _burst(run: dict[str, Any]) -> Iterator[str]:
    if not run["all_ready"]:
        yield "not all of them had their children and were Ready in time"
    most = {
        "writes_a_model": WRITES,
        "reads_a_model": READS,
        "memory_mb": MEMORY_MB + MEMORY_MB_A_MODEL * run["count"],
    }
    if beside := report.KSERVE.get(run["count"]):
        most["cpu_ms"] = beside.cpu_ms
    yield from _over(run, most)


def _growth(first: dict[str, Any], last: dict[str, Any]) -> Iterator[str]:
    """Compare the growth of the 95th percentiles with that of the number of models."""
    models = last["count"] / first["count"]
    for what in ("children", "ready"):
        if "p95" in first[what] and "p95" in last[what] and last[what]["p95"] > models * first[what]["p95"]:
            yield f"{what} p95 grew {last[what]['p95'] / first[what]['p95']:.1f}-fold for {models:g} times the models"


def _rest(found: dict[str, Any] | None) -> Iterator[str]:
    if found:
        yield from _over(found, {"writes": 0, "reads": READS_A_SECOND * found["seconds"]})


def _repairs(found: dict[str, Any] | None) -> Iterator[str]:
    for what, times in (found or {}).items():
        if times["p95"] > REPAIR_SECONDS:
            yield f"{what}: back after {times['p95']} s (p95), bar {REPAIR_SECONDS:g}"


def _restart(found: dict[str, Any] | None) -> Iterator[str]:
    if found:
        yield from _over(found, {"writes": 0, "leads_s": LEADS_SECONDS, "caught_up_s": CAUGHT_UP_SECONDS})


def _foreign(found: dict[str, Any] | None) -> Iterator[str]:
    if found and found["after_mb"] > FLAT * found["before_mb"]:
        yield f"memory grew from {found['before_mb']} to {found['after_mb']} MB"


def _over(found: dict[str, Any], most: dict[str, float]) -> Iterator[str]:
    for what, bar in most.items():
        if found[what] > bar:
            yield f"{what} {found[what]}, bar {bar:g}"


_CHORES: Final[dict[str, Callable[[dict[str, Any] | None], Iterator[str]]]] = {
    "rest": _rest,
    "repairs": _repairs,
    "restart": _restart,
    "foreign": _foreign,
}
