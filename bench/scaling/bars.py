"""What each part is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTLED_SECONDS: Final = 180.0
CPU_PERCENT: Final = 6.0
FLAT: Final = 1.1
"""Memory that ends within so much of what it was has not grown."""


def missed(found: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that was missed."""
    return [words for name, look in _LOOKS.items() if name in found for words in look(found[name])]


def _step(found: dict[str, Any]) -> Iterator[str]:
    ours = found["foresail"]
    for what, bar in (("asked_seconds", 3.0), ("serving_seconds", 8.0)):
        if ours[what] is None or ours[what] > bar:
            yield f"step: {what} {ours[what]}, bar {bar:g}"
    if failed := {word: count for word, count in ours["answers"].items() if word != "ok"}:
        yield f"step: failed {failed}"


def _wake(found: dict[str, Any]) -> Iterator[str]:
    for what, bar in (("lost", 0), ("held_after_a_second", 0), ("p50_seconds", 2.0), ("p95_seconds", 3.0)):
        if found[what] is None or found[what] > bar:
            yield f"wake: {what} {found[what]}, bar {bar:g}"


def _noise(found: dict[str, Any]) -> Iterator[str]:
    if found["undone"]:
        yield f"noise: {found['undone']} changes undone within a minute"


def _latency(found: dict[str, Any]) -> Iterator[str]:
    settled = found["settled_seconds"]
    if settled is None or settled > SETTLED_SECONDS:
        yield f"latency: p95 near its objective after {settled} s, bar {SETTLED_SECONDS:g}"


def _operator(found: dict[str, Any]) -> Iterator[str]:
    for part, usage in found.items():
        if usage["cpu_percent"] > CPU_PERCENT:
            yield f"{part}: the operator took {usage['cpu_percent']} % of a core, bar {CPU_PERCENT:g} %"
        if usage["mebibytes_after"] > FLAT * usage["mebibytes_before"]:
            yield f"{part}: its memory grew from {usage['mebibytes_before']} to {usage['mebibytes_after']} MiB"


_LOOKS: Final[dict[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "step": _step,
    "wake": _wake,
    "noise": _noise,
    "latency": _latency,
    "operator": _operator,
}
