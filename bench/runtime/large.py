"""A tensor of 1 MiB as JSON and as binary: requests a second on one connection."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from bench.runtime import models, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

ROWS: Final = 8192
BAR: Final = 10.0


def main(options: argparse.Namespace) -> bool:
    """Send 8192 rows of 32 floats either way: to the small model, and to one that does next to nothing."""
    array = requests.rows(ROWS)
    forms = {"json": requests.as_json(array), "binary": requests.as_binary(array)}
    rows: list[list[object]] = []
    for name, path in (("mlp", servers.MLP), ("sum of each row", models.row_sums())):
        with servers.foresail(path) as server:
            server.wait(forms["json"])
            ways = {form: functools.partial(wrk.load, server, one, 1, options.seconds) for form, one in forms.items()}
            seen = report.compare(options.rounds, ways)
        for form, one in seen.items():
            ratio = one.rate / seen["json"].rate
            bar = report.Bar(ratio, least=BAR) if form == "binary" else None
            rows.append([name, form, len(forms[form].body) / 2**20, one.rate, ratio, bar, one.p50, one.p99])
    head = ("model", "form", "body MiB", "req/s", "x json", "bar", "p50 ms", "p99 ms")
    return report.show("large", "8192 rows of 32 floats, 1 MiB", head, rows)
