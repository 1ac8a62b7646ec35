"""A tensor of 1 MiB as JSON and as binary: requests a second on one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.runtime import models, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

ROWS: Final = 8192
BAR: Final = 10.0


def main(options: argparse.Namespace) -> None:
    """Send 8192 rows of 32 floats either way: to the small model, and to one that does next to nothing."""
    array = requests.rows(ROWS)
    forms = {"json": requests.as_json(array), "binary": requests.as_binary(array)}
    rows: list[list[object]] = []
    for name, path in (("mlp", servers.MLP), ("sum of each row", models.row_sums())):
        seen: dict[str, list[wrk.Result]] = {form: [] for form in forms}
        with servers.foresail(path) as server:
            server.wait(forms["json"])
            for _ in range(options.rounds):
                for form, request in forms.items():
                    seen[form].append(wrk.load(server, request, 1, options.seconds))
        base = report.median(seen["json"]).rate
        for form, results in seen.items():
            one = report.median(results)
            bar = BAR if form == "binary" else None
            body = len(forms[form].body) / 2**20
            rows.append([name, form, body, one.rate, one.rate / base, bar, one.p50, one.p99])
    head = ("model", "form", "body MiB", "req/s", "x json", "bar", "p50 ms", "p99 ms")
    report.show("large", "8192 rows of 32 floats, 1 MiB", head, rows)
