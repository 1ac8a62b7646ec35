"""Log lines with fields, for people and for collectors."""

from __future__ import annotations

import json
import logging

import pytest

from foresail_runtime import logs


def record(message: str = "model ready", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("foresail", logging.INFO, "x.py", 1, message, (), None)
    made.created = 1.5
    made.__dict__.update(logs.fields(**fields))
    return made


def test_text_has_the_fields_behind_the_message() -> None:
    line = logs.TextFormatter().format(record(model="m", note=None, text='a "b" c', count=3))
    assert line == '1970-01-01T00:00:01.500Z INFO model ready model=m text="a \\"b\\" c" count=3'


def test_json_is_one_object_a_line() -> None:
    line = logs.JsonFormatter().format(record(model="m", text="a\nb"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "INFO",
        "logger": "foresail",
        "message": "model ready",
        "model": "m",
        "text": "a\nb",
    }


def test_json_has_a_line_for_text_that_is_no_utf_8() -> None:
    line = logs.JsonFormatter().format(record(path="/\udcff"))
    assert json.loads(line)["path"] == "/\udcff"


@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()], ids=["text", "json"])
def test_a_stack_trace_is_in_the_line(formatter: logging.Formatter) -> None:
    made = record()
    error = ZeroDivisionError("oh")
    made.exc_info = (type(error), error, None)
    assert "ZeroDivisionError: oh" in formatter.format(made)
