"""What each part is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTLED_SECONDS: Final = 180.0
CPU_PERCENT: Final = 6.0
FLAT_PERCENT_AN_HOUR: Final = 10.0
"""The operator's memory is flat while it grows no faster, once warm."""


def missed(found: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that was missed."""
    return [words for name, look in _LOOKS.items() if name in found for words in look(found[name])]


def _step(found: dict[str, Any]) -> Iterator[str]:
    ours = found["foresail"]
    for what, bar in (("asked_seconds", 3.0), ("serving_seconds", 8.0)):
        if ours[what] is None or ours[what] > bar:
            yield f"step: {what} {ours[what]}, bar {bar:g}"
    yield from _failed("step", ours["answers"])


def _wake(found: dict[str, Any]) -> Iterator[str]:
    if found["wakes"] < found["wakes_wished_for"]:
        yield f"wake: {found['wakes']} in the time given, {found['wakes_wished_for']} wished for"
    for what, bar in (("lost", 0), ("held_after_a_second", 0), ("p50_seconds", 2.0), ("p95_seconds", 3.0)):
        if found[what] is None or found[what] > bar:
            yield f"wake: {what} {found[what]}, bar {bar:g}"


def _doze(found: dict[str, Any]) -> Iterator[str]:
    if found["lost"] or not found["slept"]:
        yield f"doze: {found['lost']} of {found['asked']} lost, slept {found['slept']} times"


def _noise(found: dict[str, Any]) -> Iterator[str]:
    if found["undone"]:
        yield f"noise: {found['undone']} changes undone within a minute"
    yield from _failed("noise", found["answers"])


def _latency(found: dict[str, Any]) -> Iterator[str]:
    settled = found["settled_seconds"]
    if settled is None or settled > SETTLED_SECONDS:
        yield f"latency: p95 near its objective after {settled} s, bar {SETTLED_SECONDS:g}"
    yield from _failed("latency", found["answers"])


def _operator(found: dict[str, Any]) -> Iterator[str]:
    for part, usage in found.items():
        if usage["cpu_percent"] > CPU_PERCENT:
            yield f"{part}: the operator took {usage['cpu_percent']} % of a core, bar {CPU_PERCENT:g} %"


def _memory(found: dict[str, Any]) -> Iterator[str]:
    growth = found["percent_an_hour"]
    if growth is not None and growth > FLAT_PERCENT_AN_HOUR:
        yield f"memory: the operator's grows by {growth} % an hour, bar {FLAT_PERCENT_AN_HOUR:g} %"


def _failed(part: str, answers: dict[str, int]) -> Iterator[str]:
    if failed := {word: count for word, count in answers.items() if word != "ok"}:
        yield f"{part}: failed {failed}"


_LOOKS: Final[dict[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "step": _step,
    "wake": _wake,
    "doze": _doze,
    "noise": _noise,
    "latency": _latency,
    "operator": _operator,
    "memory": _memory,
}
