"""Scored rows as bytes at the end of a file: CSV, JSON lines, or an Arrow stream that becomes Parquet at the end."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import orjson

from foresail_runtime.offline.chunks import Column, Field, Refused, Scored, clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_NOT_JSON: Final = "output {!r} holds NaN or infinity, which JSON can't carry: write CSV or Parquet"


class Format(Protocol):
    """How rows become bytes."""

    def head(self) -> bytes:
        """Return what the file begins with."""

    def check(self, scored: Scored) -> Mapping[int, str]:
        """Return why rows can't be written."""

    def encode(self, columns: Mapping[str, Column], count: int) -> bytes:
        """Return the rows."""

    def finish(self, partial: Path, target: Path) -> None:
        """Make the output of the partial file, in one step as others see it."""


class JsonLines:
    """An object a line; a row with a fault has nulls."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields

    def head(self) -> bytes:
        """Return nothing: the first row is the first line."""
        return b""

    def check(self, scored: Scored) -> Mapping[int, str]:
        """Return the rows that hold what JSON can't carry."""
        return _not_json(scored, self._fields)

    def encode(self, columns: Mapping[str, Column], count: int) -> bytes:
        """Return a line a row."""
        del count
        names = [field.name for field in self._fields]
        rows = zip(*[columns[name] for name in names], strict=True)
        how = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
        return b"".join(_line(dict(zip(names, row, strict=True)), how) for row in rows)

    def finish(self, partial: Path, target: Path) -> None:
        """Give the file its name."""
        partial.replace(target)


class Csv:
    """A line of names, then a line a row; an output of several values has a column each, if their number is known."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields

    def head(self) -> bytes:
        """Return the line of names."""
        names: list[str] = []
        for field in self._fields:
            names += [f"{field.name}.{part}" for part in field.parts] if field.parts else [field.name]
        return self._text([names])

    def check(self, scored: Scored) -> Mapping[int, str]:
        """Return the rows that hold what JSON can't carry where a cell is JSON; else text can say it all."""
        return _not_json(scored, [field for field in self._fields if field.depth and not field.parts])

    def encode(self, columns: Mapping[str, Column], count: int) -> bytes:
        """Return a line a row."""
        del count
        wide: list[Any] = []
        for field in self._fields:
            column = columns[field.name]
            wide += list(_parts(column, len(field.parts))) if field.parts else [map(_text, column)]
        return self._text(zip(*wide, strict=True))

    def finish(self, partial: Path, target: Path) -> None:
        """Give the file its name."""
        partial.replace(target)

    def _text(self, rows: Any) -> bytes:
        buffer = io.StringIO()
        plain, quoting = csv.writer(buffer, lineterminator="\n"), csv.writer(buffer, _Quoting)
        for row in map(tuple, rows):  # a lone CR ends a line for most readers, and Python's writer does not quote it
            (quoting if any("\r" in value for value in row) else plain).writerow(row)
        return buffer.getvalue().encode(errors="surrogateescape")


class _Quoting(csv.excel):
    lineterminator = "\n"
    quoting = csv.QUOTE_ALL


class Parquet:
    """Batches of an Arrow stream, to which more can be added after a crash, as they can't to Parquet."""

    def __init__(self, fields: Sequence[Field], source: object) -> None:
        # Imported here, since it is there only where the extra `batch` is.
        from foresail_runtime.offline import parquet  # noqa: PLC0415

        self._parquet = parquet
        self._schema = parquet.schema(fields, source)

    def head(self) -> bytes:
        """Return the schema's message."""
        return bytes(self._schema.serialize().to_pybytes())

    def check(self, scored: Scored) -> Mapping[int, str]:
        """Return nothing: the columns carry what the model gives."""
        del scored
        return {}

    def encode(self, columns: Mapping[str, Column], count: int) -> bytes:
        """Return the rows' message."""
        del count
        return self._parquet.batch(columns, self._schema)

    def finish(self, partial: Path, target: Path) -> None:
        """Write the stream as Parquet beside the target, and give it its name."""
        made = target.with_name(f"{target.name}.tmp")
        self._parquet.convert(partial, made)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(target)
        partial.unlink()


def choose(target: Path, fields: Sequence[Field], source: object) -> Format:
    """Return the format that the output's name asks for.

    Raises:
        Refused: It asks for none, or for one that can't hold the fields.
    """
    match target.suffix.lower():
        case ".parquet":
            return Parquet(fields, source)
        case ".jsonl" | ".ndjson":
            return JsonLines(fields)
        case ".csv":
            nested = [field.name for field in fields if field.name in ("detections", "classes")]
            if nested:
                raise Refused(f"CSV has no lists, which {nested[0]} are: name the output .jsonl or .parquet")
            return Csv(fields)
        case suffix:
            raise Refused(f"the output's name ends in {suffix or 'nothing'!r}: .parquet, .csv and .jsonl are written")


def _not_json(scored: Scored, fields: Sequence[Field]) -> dict[int, str]:
    found: dict[int, str] = {}
    for field in fields:
        column = scored.columns.get(field.name, [])
        if field.kind[:2] in ("FP", "BF"):
            found.update({row: _NOT_JSON.format(field.name) for row in _not_finite(column) if row not in found})
    return found


def _not_finite(column: Column) -> list[int]:
    if isinstance(column, np.ndarray):
        flat = column.reshape(len(column), -1)
        return np.flatnonzero(~np.isfinite(flat).all(axis=1)).tolist()
    return [row for row, value in enumerate(column) if value is not None and not np.isfinite(value).all()]


def _line(row: dict[str, Any], how: int) -> bytes:
    try:
        return orjson.dumps(row, _plain, how)
    except orjson.JSONEncodeError:  # text of the input that is no UTF-8
        return orjson.dumps({name: clean(v) if isinstance(v, str) else v for name, v in row.items()}, _plain, how)


def _parts(column: Column, width: int) -> Iterator[list[Any]]:
    for index in range(width):
        yield ["" if value is None else _text(value[index]) for value in column]


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case np.ndarray() | list() | dict():
            return orjson.dumps(value, _plain, orjson.OPT_SERIALIZE_NUMPY).decode()
        case bool() | np.bool_():
            return "true" if value else "false"
        case _:
            return str(value)


def _plain(value: Any) -> Any:
    """Return what orjson can write of a value that it does not know: strided and object arrays, dates, decimals."""
    match value:
        case np.ndarray():
            return value.tolist()
        case bytes():
            return value.decode(errors="replace")
        case _:
            return str(value)
