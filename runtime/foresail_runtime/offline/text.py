"""CSV and JSON lines, read a line at a time; a position is the offset of a line's first byte."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any, Final

import orjson

from foresail_runtime.codec import parsing
from foresail_runtime.offline.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, Refused, clean, column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

_MARK: Final = b"\xef\xbb\xbf"
"""What Excel writes before UTF-8."""
_MAX_FIELD: Final = 64 * 2**20
_LOOKED_AT_ROWS: Final = 100
_LOOKED_AT_BYTES: Final = 2**20
"""Names of JSON lines are those of so many rows at the beginning, or of fewer that are longer."""


class _Lines:
    """The lines of a file as text, and the offset behind the last one taken."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        self.offset = offset
        file.seek(offset)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        if not self.offset:
            self.offset = len(line)
            return line.removeprefix(_MARK).decode(errors="surrogateescape")
        self.offset += len(line)
        return line.decode(errors="surrogateescape")


class TextSource:
    """What CSV and JSON lines have in common."""

    rows: None = None

    def __init__(self, path: Path, chunk_rows: int = CHUNK_ROWS) -> None:
        self._path = path
        self._chunk_rows = chunk_rows
        status = path.stat()
        self._size = status.st_size
        self.identity = f"{path.name} {status.st_size} {status.st_mtime_ns}"

    def portion(self, position: int) -> float:
        """Return which part of the file lies before a position."""
        return position / self._size if self._size else 1.0

    def _chunks(
        self, lines: _Lines, first: int, rows: Iterator[tuple[list[Any], str | None]], names: tuple[str, ...]
    ) -> Iterator[Chunk]:
        """Cut rows (their values, or why there are none) into chunks."""
        while True:
            start = lines.offset
            taken: list[list[Any]] = []
            faults: dict[int, str] = {}
            for values, fault in itertools.islice(rows, self._chunk_rows):
                if fault is not None:
                    faults[len(taken)] = fault
                taken.append(values or [None] * len(names))
                if lines.offset - start >= CHUNK_BYTES:
                    break
            if not taken:
                return
            columns = dict(zip(names, map(list, zip(*taken, strict=True)), strict=True)) if names else {}
            yield Chunk(first, len(taken), columns, faults, lines.offset)
            first += len(taken)


class CsvSource(TextSource):
    """Comma-separated values with a line of names; quoted values may hold line ends."""

    def __init__(self, path: Path, chunk_rows: int = CHUNK_ROWS) -> None:
        """Read the names.

        Raises:
            Refused: There are none, or two alike.
        """
        super().__init__(path, chunk_rows)
        csv.field_size_limit(_MAX_FIELD)
        with path.open("rb") as file:
            lines = _Lines(file, 0)
            try:
                self.names = tuple(clean(name.strip()) for name in next(csv.reader(lines, strict=True), ()))
            except csv.Error as error:
                raise Refused(f"the first line of {path} is no CSV ({error}): lines end in LF or CR LF") from error
            self._body = lines.offset
        self.known = self.names
        if not self.names:
            raise Refused(f"{path} is empty: a CSV file begins with a line of column names")
        twice = [name for index, name in enumerate(self.names) if name in self.names[:index]]
        if twice:
            raise Refused(f"{path} has two columns {twice[0]!r}: give each its own name")

    def chunks(self, position: int, first: int, wanted: Mapping[str, Callable[[str], Any] | None]) -> Iterator[Chunk]:
        """Yield the chunks from a position on; see `Source`."""
        columns = [(name, self.names.index(column_of(name)), read or str) for name, read in wanted.items()]
        with self._path.open("rb") as file:
            lines = _Lines(file, position or self._body)
            rows = self._rows(csv.reader(lines, strict=True), columns)
            yield from self._chunks(lines, first, rows, tuple(wanted))

    def _rows(
        self, reader: Iterator[list[str]], columns: list[tuple[str, int, Callable[[str], Any]]]
    ) -> Iterator[tuple[list[Any], str | None]]:
        width = len(self.names)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield [], f"is no CSV: {error}"
                continue
            if not row:  # an empty line is no row, as everybody's CSV has it
                continue
            if len(row) != width:
                yield [], f"has {len(row)} values, the first line names {width} columns"
                continue
            yield _read(row, columns)


def _read(row: list[str], columns: list[tuple[str, int, Callable[[str], Any]]]) -> tuple[list[Any], str | None]:
    values: list[Any] = []
    fault = None
    for name, index, read in columns:
        try:
            values.append(read(row[index]))
        except ValueError as error:
            fault = fault or f"column {column_of(name)!r}: {error}"
            values.append(None)
    return values, fault


class JsonLinesSource(TextSource):
    """A JSON object, or a list of values, a line."""

    def __init__(self, path: Path, chunk_rows: int = CHUNK_ROWS) -> None:
        """Read the names off the first rows: one bad row among them is no reason to score none.

        Raises:
            Refused: There is no row to read them off.
        """
        super().__init__(path, chunk_rows)
        rows, fault = self._first_rows()
        if not rows:
            raise Refused(f"{path} is empty: write a JSON object a line" if fault is None else fault)
        self._lists = isinstance(rows[0], list)
        self.names = tuple(map(str, range(len(rows[0])))) if self._lists else tuple(rows[0])
        objects = () if self._lists else (row for row in rows if isinstance(row, dict))
        self.known = frozenset(self.names).union(*objects)

    def _first_rows(self) -> tuple[list[dict[str, Any] | list[Any]], str | None]:
        """Return the rows at the beginning that can be read, and what is wrong with the first that can't."""
        rows: list[dict[str, Any] | list[Any]] = []
        fault = None
        with self._path.open("rb") as file:
            lines = _Lines(file, 0)
            for line in itertools.islice(filter(str.strip, lines), _LOOKED_AT_ROWS):
                try:
                    row = orjson.loads(line)
                except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
                    fault = fault or f"the first line of {self._path} is not JSON ({error}): write a JSON object a line"
                    continue
                if isinstance(row, list | dict):
                    rows.append(row)
                else:
                    kind = "neither an object nor a list"
                    fault = fault or f"the first line of {self._path} is {kind}: write a JSON object a line"
                if rows and lines.offset >= _LOOKED_AT_BYTES:
                    break
        return rows, fault

    def chunks(self, position: int, first: int, wanted: Mapping[str, Callable[[str], Any] | None]) -> Iterator[Chunk]:
        """Yield the chunks from a position on; see `Source`."""
        with self._path.open("rb") as file:
            lines = _Lines(file, position)
            rows = self._rows(lines, list(wanted))
            yield from self._chunks(lines, first, rows, tuple(wanted))

    def _rows(self, lines: _Lines, names: list[str]) -> Iterator[tuple[list[Any], str | None]]:
        for line in lines:
            if line.strip():
                yield self._values(line, names)

    def _values(self, line: str, names: list[str]) -> tuple[list[Any], str | None]:
        try:
            row = orjson.loads(line)
        except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
            return [], f"is not JSON: {error}{_hint(error)}"
        if self._lists:
            if not isinstance(row, list) or len(row) != len(self.names):
                return [], f"is not a list of {len(self.names)} values, as the first is"
            return [row[int(column_of(name))] for name in names], None
        if not isinstance(row, dict):
            return [], "is not an object, as the first is"
        places = [column_of(name) for name in names]
        missing = [name for name in dict.fromkeys(places) if name not in row]
        if missing:
            return [row.get(name) for name in places], f"lacks {', '.join(map(repr, missing[:10]))}"
        return [row[name] for name in places], None


def _hint(error: ValueError) -> str:
    return parsing.hint(error, "null is a missing number") if isinstance(error, orjson.JSONDecodeError) else ""
