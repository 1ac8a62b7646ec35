"""Parquet in and out, by pyarrow (`pip install foresail[batch]`); a position is the number of a row."""

from __future__ import annotations

import bisect
import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from foresail_runtime.offline.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, Column, Field, Refused, clean, column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_GROUP_ROWS: Final = 65_536
_GROUP_BYTES: Final = 32 * 2**20
"""A row group of the output ends with the batch that reaches either."""
_READ_BYTES: Final = 2**20
"""Pages are read in pieces of this size, instead of a whole column of a row group at once."""


class ParquetSource:
    """A Parquet file, read some rows of the wanted columns at a time."""

    def __init__(self, path: Path, chunk_rows: int = CHUNK_ROWS) -> None:
        """Read the schema.

        Raises:
            Refused: It is no Parquet.
        """
        self._path = path
        status = path.stat()
        self.identity = f"{path.name} {status.st_size} {status.st_mtime_ns}"
        try:
            with pq.ParquetFile(path) as file:
                self.schema: Final = file.schema_arrow
                groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
        except pa.ArrowException as error:
            raise Refused(f"{path} is no Parquet file: {error}") from error
        self.names: Final = tuple(self.schema.names)
        self.known: Final = self.names
        twice = [name for index, name in enumerate(self.names) if name in self.names[:index]]
        if twice:
            raise Refused(f"{path} has two columns {twice[0]!r}: give each its own name")
        self._starts = [0, *itertools.accumulate(group.num_rows for group in groups)]
        self.rows: Final = self._starts[-1]
        size = sum(group.total_byte_size for group in groups) / max(1, self.rows)
        self._chunk_rows = int(min(chunk_rows, max(1, CHUNK_BYTES // max(1, size))))

    def portion(self, position: int) -> float:
        """Return which part of the rows lies before a position."""
        return position / self.rows if self.rows else 1.0

    def chunks(self, position: int, first: int, wanted: Mapping[str, Callable[[str], Any] | None]) -> Iterator[Chunk]:
        """Yield the chunks from a row on; see `Source`."""
        del first  # the position says it
        for batch in self._batches(position, list(dict.fromkeys(map(column_of, wanted)))):
            found = {name: batch.column(column_of(name)) for name in wanted}
            columns = {
                name: _column(array if wanted[name] is None else _number(array)) for name, array in found.items()
            }
            yield Chunk(position, batch.num_rows, columns, {}, position + batch.num_rows)
            position += batch.num_rows

    def _batches(self, position: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches of the chunk's size, whatever the file's row groups are."""
        if position >= self.rows:
            return
        group = bisect.bisect_right(self._starts, position) - 1
        skip = position - self._starts[group]
        held: list[pa.RecordBatch] = []
        with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=_READ_BYTES) as file:
            groups = range(group, file.num_row_groups)
            for found in file.iter_batches(self._chunk_rows, row_groups=groups, columns=names, use_threads=False):
                batch = found.slice(skip) if skip < found.num_rows else found.slice(found.num_rows)
                skip -= found.num_rows - batch.num_rows
                held.append(batch)
                while sum(part.num_rows for part in held) >= self._chunk_rows:
                    joined = pa.concat_batches(held)
                    yield joined.slice(0, self._chunk_rows)
                    held = [joined.slice(self._chunk_rows)]
        rest = pa.concat_batches(held)
        if rest.num_rows:
            yield rest


def _number(array: pa.Array) -> pa.Array:
    """Return decimals, which no input takes, as whole numbers where they are and fit, else as the nearest double."""
    if not pa.types.is_decimal(array.type):
        return array
    if array.type.scale <= 0:
        with contextlib.suppress(pa.ArrowInvalid):
            return array.cast(pa.int64())
    return array.cast(pa.float64())


def _column(array: pa.Array) -> Column:
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":  # which Python's own times can't hold
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    kind = array.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if plain and not array.null_count:
        return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    return array.to_pylist()  # type: ignore[no-any-return]


_TYPES: Final[Mapping[str, Any]] = {
    "BOOL": pa.bool_(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "FP16": pa.float32(),  # exact, and what readers of the file know
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BF16": pa.float32(),
    "BYTES": pa.string(),
    "text": pa.string(),
}
_CLASS: Final = [("class_id", pa.int64()), ("class_name", pa.string()), ("confidence", pa.float64())]
_POINTS: Final = pa.list_(pa.list_(pa.float64()))
_MASK: Final = pa.struct([("size", pa.list_(pa.int64())), ("counts", pa.list_(pa.int64()))])
_STRUCTS: Final[Mapping[str, Any]] = {
    "classes": pa.list_(pa.struct(_CLASS)),
    "detections": pa.list_(pa.struct([*_CLASS, ("box", pa.list_(pa.float64()))])),
    "keypoints": pa.list_(pa.struct([*_CLASS, ("box", pa.list_(pa.float64())), ("keypoints", _POINTS)])),
    "masks": pa.list_(pa.struct([*_CLASS, ("box", pa.list_(pa.float64())), ("mask", _MASK)])),
}


def schema(fields: Sequence[Field], source: object) -> pa.Schema:
    """Return the columns of the output; those of kind `kept` have the type they have in the source."""
    own = source.schema if isinstance(source, ParquetSource) else pa.schema([])
    kept = {
        field.name: _plain(own.field(field.name).type) if field.name in own.names else pa.string() for field in fields
    }
    return pa.schema([(field.name, kept[field.name] if field.kind == "kept" else _type(field)) for field in fields])


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that values have once they were read: a stream's batches share no dictionary."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) and kind.unit == "ns" else kind


def _type(field: Field) -> pa.DataType:
    kind = _STRUCTS.get(field.kind) or _TYPES[field.kind]
    for _ in range(field.depth):
        kind = pa.list_(kind)
    return kind


def batch(columns: Mapping[str, Column], wanted: pa.Schema) -> bytes:
    """Return rows as a message of an Arrow stream."""
    arrays = [_array(columns[field.name], field.type) for field in wanted]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted).serialize().to_pybytes()  # type: ignore[no-any-return]


def _array(column: Column, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([_text(value) for value in column], kind)
    if isinstance(column, np.ndarray) and column.dtype == np.float16:
        column = column.astype(np.float32)
    if isinstance(column, list):
        return pa.array([value.tolist() if isinstance(value, np.ndarray) else value for value in column], kind)
    if column.ndim == 1:
        return pa.array(column, kind)
    if column.ndim == 2 and column.shape[1]:
        flat = pa.array(column.reshape(-1), kind.value_type)
        offsets = pa.array(np.arange(0, column.size + 1, column.shape[1], dtype=np.int32))
        return pa.ListArray.from_arrays(offsets, flat)
    return pa.array(column.tolist(), kind)


def _text(value: object) -> str | None:
    """Return text as it is and anything else, which JSON lines may hold in a column that is kept, as JSON."""
    if isinstance(value, str):
        return clean(value)
    return value if value is None else orjson.dumps(value).decode()


def convert(stream: Path, target: Path) -> None:
    """Write an Arrow stream as Parquet, some rows at a time."""
    with (
        pa.OSFile(str(stream)) as file,
        pa.ipc.open_stream(file) as reader,
        pq.ParquetWriter(target, reader.schema) as writer,
    ):
        held: list[pa.RecordBatch] = []
        for found in reader:
            held.append(found)
            full = sum(part.num_rows for part in held) >= _GROUP_ROWS
            if full or sum(part.nbytes for part in held) >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(held))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held))
