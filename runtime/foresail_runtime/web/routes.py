"""Which handler answers which path and method.

A pattern is a path with `{placeholders}` for whole segments; each placeholder's value is unquoted once.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from typing import TYPE_CHECKING, NamedTuple

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import web

    Handler = Callable[[web.BaseRequest, Mapping[str, str]], Awaitable[web.StreamResponse]]


class Match(NamedTuple):
    """A handler and the values of its pattern's placeholders."""

    handler: Handler
    values: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Route:
    segments: tuple[str, ...]
    handlers: Mapping[str, Handler]

    def values(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        if len(segments) != len(self.segments):
            return None
        values: dict[str, str] = {}
        for pattern, segment in zip(self.segments, segments, strict=True):
            if pattern.startswith("{"):
                if not segment:  # no name is empty, and no version: `versions//infer` asks for nothing there is
                    return None
                values[pattern[1:-1]] = urllib.parse.unquote(segment)
            elif pattern != segment:
                return None
        return values


class Routes:
    """The table of all paths; patterns are tried in the order they were added."""

    def __init__(self) -> None:
        self._routes: list[_Route] = []

    def add(self, pattern: str, **handlers: Handler) -> None:
        """Answer a path: `add("/v2", GET=…)`. HEAD is answered as GET, OPTIONS with what is allowed."""
        self._routes.append(_Route(_split(pattern), handlers))

    def find(self, method: str, path: str) -> Match:
        """Return who answers; `path` is as it was sent, still quoted, without its query.

        Raises:
            NotFound: No pattern fits the path.
            MethodNotAllowed: One does, and does not take this method.
        """
        segments = _split(path)
        for route in self._routes:
            values = route.values(segments)
            if values is None:
                continue
            handler = route.handlers.get("GET" if method == "HEAD" else method)
            if handler is None:
                allowed = tuple(sorted({*route.handlers, *(["HEAD"] if "GET" in route.handlers else []), "OPTIONS"}))
                raise errors.MethodNotAllowed(f"{path} takes {', '.join(allowed)}, not {method}", allowed)
            return Match(handler, values)
        raise errors.NotFound(f"there is nothing at {path}; GET /v2 says what this server offers")


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/"))
