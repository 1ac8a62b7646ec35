"""What any pod may say where a runtime is heard: nothing in it can end who reads it."""

from __future__ import annotations

import json

import pytest

from foresail_runtime.contract import Termination


@pytest.mark.parametrize(
    "text",
    ["", "killed", "[]", "null", "7", '{"reason": "x"}', "[" * 4096, '{"a":' * 800],
    ids=["nothing", "plain", "list", "null", "number", "no message", "deep list", "deep object"],
)
def test_a_message_that_no_runtime_wrote_is_none(text: str) -> None:
    assert Termination.decode(text) is None


@pytest.mark.parametrize(
    "memory",
    ["1e999", "-1e999", "NaN", "-1", '"much"', "[]", "true", "9" * 3000, "1.5"],
    ids=["infinite", "least", "nan", "negative", "text", "list", "bool", "long", "fraction"],
)
def test_memory_that_no_process_can_hold_is_unknown_and_the_words_stay(memory: str) -> None:
    text = f'{{"reason": "OutOfMemory", "message": "so it is", "memory_bytes": {memory}}}'
    assert Termination.decode(text) == Termination("OutOfMemory", "so it is")


def test_half_a_character_is_replaced_so_that_the_words_can_be_written_on() -> None:
    found = Termination.decode(json.dumps({"reason": "R", "message": "half \ud83d of it", "model": None}))
    assert found == Termination("R", "half ? of it")
    assert found.message.encode()
