"""Structured logs: one JSON object a line, with the object they speak of."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foresail_operator.live import Key

_KEY: contextvars.ContextVar[Key | None] = contextvars.ContextVar("key", default=None)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FOREIGN: Final = ("kopf", "aiohttp", "asyncio", "kubernetes")


@contextlib.contextmanager
def about(key: Key) -> Iterator[None]:
    """Put namespace and name of a ModelDeployment on every line logged inside."""
    token = _KEY.set(key)
    try:
        yield
    finally:
        _KEY.reset(token)


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (key := _KEY.get()) is not None:
            line |= {"namespace": key[0], "name": key[1]}
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def begin(level: str) -> None:
    """Send all logs to standard error; libraries speak up only when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Format())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _FOREIGN:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
