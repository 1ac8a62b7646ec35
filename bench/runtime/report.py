"""One table a measurement on the terminal, and the same numbers as JSON in bench-output/."""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bench.runtime import servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OUTPUT: Final = servers.ROOT / "bench-output"
Kind = TypeVar("Kind", bound=tuple[Any, ...])


def median(results: Sequence[Kind]) -> Kind:
    """Return the median of each field."""
    kind = type(results[0])
    return kind(*(statistics.median(column) for column in zip(*results, strict=True)))


def show(name: str, title: str, head: Sequence[str], rows: Iterable[Sequence[object]], **more: object) -> None:
    """Print a table and keep it as bench-output/runtime-NAME.json."""
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


def _text(cell: object) -> str:
    match cell:
        case float():
            return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.2f}" if abs(cell) >= 0.1 else f"{cell:.4f}"
        case None:
            return "-"
        case _:
            return str(cell)
