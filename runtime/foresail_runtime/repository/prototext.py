"""Reads protobuf's text format, as far as Triton's `config.pbtxt` needs it: any message, without knowing its fields.

A field that is there twice, or is written as a list, becomes a list.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 32
_TOKEN: Final = re.compile(
    r"""(?P<space>[\s,;]+|\#[^\n]*)"""
    r"""|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<word>[A-Za-z_][\w.]*)"""
    r"""|(?P<number>[-+]?(?:0x[0-9A-Fa-f]+|[\d.]+(?:[eE][-+]?\d+)?)f?)"""
    r"""|(?P<mark>[{}\[\]:<>])"""
)
_OPEN: Final = {"{": "}", "<": ">"}


class SyntaxProblemError(ValueError):
    """The text is none of the format; the message says where."""


def parse(text: str) -> dict[str, Any]:
    """Return the fields of a message: numbers, booleans, strings (enum words, too), lists, and messages as dicts.

    Raises:
        SyntaxProblemError: The text is none of the format.
    """
    return _Reader(text).message("", 0)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: Iterator[tuple[str, str, int]] = _tokens(text)
        self._next = next(self._tokens)

    def message(self, end: str, depth: int) -> dict[str, Any]:
        """Read fields up to the closing mark; "" is the end of the text."""
        fields: dict[str, Any] = {}
        while self._next[1] != end:
            kind, name, _ = self._take()
            if kind != "word":
                raise self._problem(f"a field's name is expected, not {repr(name) if name else 'the end'}")
            colon = self._skip(":")
            if self._next[1] not in ("{", "<", "[") and not colon:
                raise self._problem(f"a colon is expected after {name!r}")
            value = self._value(depth)
            known = fields.get(name)
            if known is None:
                fields[name] = value
            else:
                more = value if isinstance(value, list) else [value]
                fields[name] = [*(known if isinstance(known, list) else [known]), *more]
        self._take()
        return fields

    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._problem("too many messages in messages")
        kind, text, _ = self._take()
        if text in _OPEN and kind == "mark":
            return self.message(_OPEN[text], depth + 1)
        if text == "[" and kind == "mark":
            found: list[Any] = []
            while not self._skip("]"):
                found.append(self._value(depth + 1))
            return found
        if kind == "text":
            parts = [_unquote(text)]
            while self._next[0] == "text":  # strings in a row are one
                parts.append(_unquote(self._take()[1]))
            return "".join(parts)
        if kind == "word":
            return {"true": True, "false": False}.get(text, text)
        if kind == "number":
            return self._number(text)
        raise self._problem(f"a value is expected, not {repr(text) if text else 'the end'}")

    def _number(self, text: str) -> int | float:
        try:
            return int(text, 0) if "." not in text and not text.endswith("f") else float(text.rstrip("f"))
        except ValueError:
            try:
                return float(text)
            except ValueError as error:
                raise self._problem(f"{text!r} is no number") from error

    def _skip(self, mark: str) -> bool:
        if self._next[:2] == ("mark", mark):
            self._take()
            return True
        return False

    def _take(self) -> tuple[str, str, int]:
        token = self._next
        if token[0] != "end":
            self._next = next(self._tokens)
        return token

    def _problem(self, message: str) -> SyntaxProblemError:
        line = self._text.count("\n", 0, self._next[2]) + 1
        return SyntaxProblemError(f"line {line}: {message}")


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise SyntaxProblemError(f"line {line}: {text[position]!r} has no place here")
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0], position
        position = found.end()
    yield "end", "", position


def _unquote(text: str) -> str:
    body = text[1:-1]
    if "\\" not in body:
        return body
    try:
        return str(json.loads(f'"{body}"'))
    except ValueError:
        return body.replace("\\'", "'").replace('\\"', '"').replace("\\\\", "\\")
