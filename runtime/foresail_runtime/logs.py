"""Log lines: a constant message and key=value fields, as text for people or as JSON for collectors."""

from __future__ import annotations

import datetime as dt
import functools
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05Z INFO message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = f"{time_text(record.created)} {record.levelname} {record.getMessage()}{pairs(_fields(record))}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        document = {"time": time_text(record.created), "level": record.levelname, "logger": record.name}
        document |= {"message": record.getMessage(), **_fields(record)}
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(document, default=str).decode()
        except orjson.JSONEncodeError:  # a path that is no UTF-8, for one
            return json.dumps(document, default=str)


def configure(log_format: str, level: str) -> None:
    """Send every log line to stderr in that format."""
    # Where a record came from is in none of our lines, and costs a third of making it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """Return the `extra` argument that gives a log call its fields."""
    return {"fields": values}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = getattr(record, "fields", {})
    return found if isinstance(found, dict) else {}


def time_text(epoch_seconds: float) -> str:
    """Return a time as lines begin with it: UTC, to the millisecond."""
    return _time_text(int(epoch_seconds * 1000))


def pairs(values: Mapping[str, Any]) -> str:
    """Return ` key=value` of each field that has a value."""
    return "".join(f" {key}={_quote(value)}" for key, value in values.items() if value is not None)


@functools.lru_cache(maxsize=4)  # lines come in the same millisecond where their cost counts
def _time_text(epoch_milliseconds: int) -> str:
    second, milliseconds = divmod(epoch_milliseconds, 1000)
    return f"{dt.datetime.fromtimestamp(second, dt.UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def _quote(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(character in text for character in ' "=\n') else text
