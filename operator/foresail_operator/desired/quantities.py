"""Kubernetes quantities as numbers: 500m, 2, 1.5Gi, 1e3."""

from __future__ import annotations

import decimal
import re
from typing import Final

_SUFFIXES: Final = {
    "n": decimal.Decimal("1e-9"),
    "u": decimal.Decimal("1e-6"),
    "m": decimal.Decimal("1e-3"),
    "": decimal.Decimal(1),
} | {
    name + binary: decimal.Decimal(base) ** power
    for power, name in enumerate("KMGTPE", start=1)
    for binary, base in (("i", 1024), ("", 1000))
}
_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkKMGTPE]i?|)")


def parse(text: str) -> decimal.Decimal:
    """Return the quantity's value.

    Raises:
        ValueError: The text is no quantity.
    """
    match = _NUMBER.fullmatch(text.strip())
    suffix = "K" if match and match[2] == "k" else match[2] if match else ""
    if match is None or suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} is no quantity: write e.g. 500m, 2 or 1.5Gi")
    return decimal.Decimal(match[1]) * _SUFFIXES[suffix]


def thousandths(text: str) -> decimal.Decimal:
    """Return the value that the API server keeps, in thousandths, rounded up.

    Raises:
        ValueError: The text is no quantity.
    """
    return (parse(text) * 1000).to_integral_value(decimal.ROUND_CEILING)


def least(first: str, second: str) -> str:
    """Return the smaller one, as it was written."""
    return first if parse(first) <= parse(second) else second


def most(first: str, second: str) -> str:
    """Return the larger one, as it was written."""
    return first if parse(first) >= parse(second) else second


def mebibytes(text: str) -> int:
    """Return whole mebibytes, rounded down."""
    return int(parse(text) / 2**20)
