"""One table a measurement on the terminal, its bars judged, and the same numbers as JSON in bench-output/."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bench.runtime import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OUTPUT: Final = servers.ROOT / "bench-output"
Kind = TypeVar("Kind", bound=tuple[Any, ...])


@dataclasses.dataclass(frozen=True)
class Bar:
    """What a figure is held to; NaN, which stands for none, misses it."""

    figure: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Tell whether the figure is within the bar."""
        above = self.least is None or self.figure >= self.least
        return above and (self.most is None or self.figure <= self.most)

    def __str__(self) -> str:
        bound = f"<= {self.most:g}" if self.least is None else f">= {self.least:g}"
        return bound if self.met else f"{bound} MISSED"


def compare(rounds: int, ways: Mapping[str, Callable[[], Kind]]) -> dict[str, Kind]:
    """Measure each way in turn, the other way round in every second round; return the medians of each."""
    seen: dict[str, list[Kind]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            seen[name].append(ways[name]())
    return {name: median(results) for name, results in seen.items()}


def median(results: Sequence[Kind]) -> Kind:
    """Return the median of each field."""
    kind = type(results[0])
    return kind(*(statistics.median(column) for column in zip(*results, strict=True)))


def show(name: str, title: str, head: Sequence[str], rows: Sequence[Sequence[object]], **more: object) -> bool:
    """Print a table and keep it as bench-output/runtime-NAME.json; return whether every bar in it was met."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in (head, *texts)) for index in range(len(head))]
    print(f"\n{title}")
    for row in (head, *texts):
        print(
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    OUTPUT.mkdir(exist_ok=True)
    document = {
        "title": title,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "rows": [dict(zip(head, row, strict=True)) for row in texts],
        **more,
    }
    (OUTPUT / f"runtime-{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    return all(cell.met for row in rows for cell in row if isinstance(cell, Bar))


def _text(cell: object) -> str:
    match cell:
        case float():
            return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.2f}" if abs(cell) >= 0.1 else f"{cell:.4f}"
        case None:
            return "-"
        case _:
            return str(cell)
