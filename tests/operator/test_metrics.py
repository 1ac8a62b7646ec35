"""The operator's metrics and the page that tells the person on call what to make of them."""

from __future__ import annotations

import pathlib

from foresail_operator.metrics import Metrics

PAGE = pathlib.Path(__file__).parents[2] / "docs/operations.md"


def test_every_metric_stands_in_the_page_for_the_person_on_call() -> None:
    page = PAGE.read_text()
    names = [
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
    ]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in page] == []
