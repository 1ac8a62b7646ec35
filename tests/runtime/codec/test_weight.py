"""What JSON is said to take is what it was measured to take, or somewhat more."""

from __future__ import annotations

from typing import cast

import pytest

from foresail_runtime import errors
from foresail_runtime.codec import weight

SIZE = 2**20


def body(unit: bytes) -> bytes:
    return b'{"inputs":[' + b",".join([unit] * (SIZE // (len(unit) + 1))) + b"]}"


MEASURED = {
    "0.25": 12.2,
    "1.5": 15.0,
    "0.12345678901234567": 3.8,
    "7": 13.0,
    "12345": 10.4,
    "-9": 19.7,
    "[0.25,0.25]": 17.7,
    "[7]": 31.1,
    "true": 5.8,
    '"ab"': 27.3,
    '"a"': 23.1,
    '""': 10.6,
    '"abcdefghijklmnopqrst"': 7.3,
    '"äß"': 21.8,
    "[]": 30.4,
    "{}": 30.4,
    "[[]]": 37.9,
    "[" * 100 + "]" * 100: 48.8,
    '{"a":0}': 31.1,
    '{"":0}': 36.6,
    '{"":' * 50 + "0" + "}" * 50: 45.7,
    '{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0}': 13.7,
}
"""Elements of a list, and the bytes that each of theirs took at most: orjson 3.13, CPython 3.11, 8 MiB of them."""


@pytest.mark.parametrize(("unit", "times"), MEASURED.items(), ids=[unit[:12] for unit in MEASURED])
def test_it_is_not_less_than_was_measured_nor_more_than_five_times_that(unit: str, times: float) -> None:
    text = body(unit.encode())
    assert times <= weight.weigh(text) / len(text) <= 5 * times


def test_one_character_beyond_latin_makes_four_bytes_of_each_in_its_string() -> None:
    plain, other = (f'["{"a" * SIZE}{letter}"]'.encode() for letter in "a\N{GRINNING FACE}")
    assert weight.weigh(plain) >= 2.0 * SIZE
    assert weight.weigh(other) >= 5.0 * SIZE


def test_what_came_in_pieces_weighs_the_same() -> None:
    text = body(b"[0.25]")
    pieces = cast("bytes", bytearray(text))  # as bodies are
    assert weight.weigh(pieces) == weight.weigh(text)


def test_what_takes_more_than_there_is_is_refused_with_what_to_do() -> None:
    text = body(b"0.25")
    size = weight.weigh(text)
    assert weight.check(text, size, "send less") == size
    with pytest.raises(errors.TooLarge, match=rf"{len(text)} bytes .* over the limit of {size - 1} .*: send less$"):
        weight.check(text, size - 1, "send less")
