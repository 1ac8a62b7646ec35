"""Rows of a table, or of tensors, through a model.

A row is a table's where the model takes one and the input has its columns, by name, or by number where the model
names none. Else each of the model's inputs is a column of its own, which holds the tensor without its first
dimension as nested lists.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from foresail_runtime import errors, tensors
from foresail_runtime.codec import values
from foresail_runtime.offline import model as models
from foresail_runtime.offline.chunks import Chunk, Column, Field, Ran, Refused, Scored, good_rows, pick, spread
from foresail_runtime.tasks import tabular

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from foresail_runtime.offline.model import Model
    from foresail_runtime.tensors import Signature, Tensor, TensorSpec


class RowsJob:
    """Scores rows; its output has a column for each of the model's outputs."""

    def __init__(
        self, model: Model, names: Sequence[str], columns: Sequence[str] = (), known: Collection[str] = ()
    ) -> None:
        """Find out how the input's columns `names` fit the model; `columns` are those to use, in the model's order.

        `known` are columns of rows that have more than the first, whose `names` are.

        Raises:
            Refused: They don't.
        """
        self._model = model
        self.outputs: Final[tuple[str, ...]] = model.engine.output_names
        self._reader = reader(model.signature, names, columns, {*names, *known})
        self.wanted: Final[Mapping[str, Callable[[str], Any] | None]] = self._reader.wanted
        self.fields: Final = tuple(_field(spec, model.classes.get(spec.name, ())) for spec in model.signature.outputs)

    def score(self, chunk: Chunk) -> Scored:
        """Return the model's outputs for the rows."""
        faults = dict(chunk.faults)
        rows: list[int] = []
        pieces: list[list[Column]] = [[] for _ in self.outputs]
        for ran in self.run(chunk, faults):
            rows += ran.rows
            for piece, array in zip(pieces, ran.outputs, strict=True):
                piece.append(array)
        columns = {
            field.name: spread(models.readable(models.join(piece), spec.datatype) if piece else [], rows, chunk.count)
            for field, spec, piece in zip(self.fields, self._model.signature.outputs, pieces, strict=True)
        }
        return Scored(columns, dict(sorted(faults.items())))

    def run(self, chunk: Chunk, faults: dict[int, str]) -> Iterator[Ran]:
        """Yield what ran, in order, and write down why other rows did not."""
        for rows, inputs in self._read(chunk, faults):
            pieces, failed = self._model.run(inputs, self.outputs)
            faults.update({rows[index]: message for index, message in failed.items()})
            kept = [index for index in range(len(rows)) if index not in failed]
            if kept:
                arrays = [tensor.array[kept] if failed else tensor.array for tensor in inputs]
                yield Ran([rows[index] for index in kept], arrays, [models.join(piece) for piece in pieces])

    def _read(self, chunk: Chunk, faults: dict[int, str]) -> list[tuple[list[int], Sequence[Tensor]]]:
        """Return the rows that can be read and their inputs: in one piece, but where their shapes differ."""
        rows = good_rows(chunk)
        columns = [pick(chunk.columns[name], rows) for name in self.wanted]
        if not rows:
            return []
        with contextlib.suppress(errors.InvalidRequest):
            return [(rows, self._reader.read(columns, len(rows)))]
        apart = []
        for place, index in enumerate(rows):  # one of them can't be read: which?
            try:
                apart.append(([index], self._reader.read([column[place : place + 1] for column in columns], 1)))
            except errors.InvalidRequest as error:
                faults[index] = error.message.removeprefix("row 0, ").removeprefix("row 0 ")
        places = [place for place, index in enumerate(rows) if index not in faults]
        if not places:
            return []
        with contextlib.suppress(errors.InvalidRequest):
            together = self._reader.read([pick(column, places) for column in columns], len(places))
            return [([rows[place] for place in places], together)]
        return apart


class TableReader:
    """Columns of one value a row."""

    def __init__(self, signature: Signature, columns: Sequence[str]) -> None:
        self._signature = signature
        self._table = tabular.Table(signature)
        specs = signature.inputs * len(columns) if len(signature.inputs) == 1 else signature.inputs
        self.wanted: Final[Mapping[str, Callable[[str], Any] | None]] = {
            name: _parsers(spec) for name, spec in zip(columns, specs, strict=False)
        }

    def read(self, columns: Sequence[Column], count: int) -> Sequence[Tensor]:
        """Return the model's inputs; raises InvalidRequest as `tabular.Table.read` does."""
        arrays = [column for column in columns if isinstance(column, np.ndarray)]
        with np.errstate(over="raise"), contextlib.suppress(FloatingPointError):  # too large: the table says which
            if len(arrays) == len(columns) and (inputs := self._fast(arrays, count)) is not None:
                return inputs
        listed = [column if isinstance(column, list) else column.tolist() for column in columns]
        return self._table.read({"rows": list(map(list, zip(*listed, strict=True)))})

    def _fast(self, arrays: Sequence[Any], count: int) -> Sequence[Tensor] | None:
        """Numbers that are arrays already need not become Python's; None where their types do not fit."""
        specs = self._signature.inputs
        wide = specs * len(arrays) if len(specs) == 1 else specs
        for array, spec in zip(arrays, wide, strict=True):
            kind = spec.datatype.dtype.kind
            if spec.datatype is tensors.BYTES:  # which numpy would cast anything to
                return None
            if not (kind == "f" and array.dtype.kind in "fiu") and not np.can_cast(array.dtype, spec.datatype.dtype):
                return None
        if len(specs) == 1 and len(specs[0].shape) == 2:
            spec = specs[0]
            joined = np.empty((count, len(arrays)), spec.datatype.dtype)
            for index, array in enumerate(arrays):
                joined[:, index] = array
            return (tensors.Tensor(spec.name, spec.datatype, joined),)
        return [
            tensors.Tensor(spec.name, spec.datatype, array.astype(spec.datatype.dtype).reshape(_shape(spec)))
            for spec, array in zip(specs, arrays, strict=True)
        ]


class TensorReader:
    """A column for each input, which holds its tensors as nested lists."""

    def __init__(self, signature: Signature) -> None:
        self._inputs = signature.inputs
        self.wanted: Final[Mapping[str, Callable[[str], Any] | None]] = {
            spec.name: _parse_json for spec in signature.inputs
        }

    def read(self, columns: Sequence[Column], count: int) -> Sequence[Tensor]:
        """Return the model's inputs.

        Raises:
            InvalidRequest: A value does not fit its input.
        """
        return tuple(self._tensor(spec, column, count) for spec, column in zip(self._inputs, columns, strict=True))

    def _tensor(self, spec: TensorSpec, column: Column, count: int) -> Tensor:
        listed = column if isinstance(column, list) else column.tolist()
        shape = (count, *_nested_shape(listed[0]))
        if not spec.fits((spec.shape[0] if spec.shape[0] > 0 else count, *shape[1:])):
            raise errors.InvalidRequest(f"input {spec.name!r} has the shape {list(shape)}, not {list(spec.shape)}")
        array = values.decode(spec.name, spec.datatype, shape, math.prod(shape), listed)
        return tensors.Tensor(spec.name, spec.datatype, array)


def reader(
    signature: Signature, names: Sequence[str], columns: Sequence[str], known: Collection[str]
) -> TableReader | TensorReader:
    """Return what reads the model's inputs off the columns `names`, or others that are `known`.

    Raises:
        Refused: They are not what the model takes.
    """
    inputs = [spec.name for spec in signature.inputs]
    try:
        own = tabular.columns(signature)
    except errors.ModelUnusable:
        own = None
    if own is None or (set(inputs) <= set(known) and own != tuple(inputs) and not columns):
        return _tensor_reader(signature, inputs, names, known)
    chosen = tuple(columns) or own or tuple(names)
    width = len(own) or signature.inputs[0].shape[1]
    missing = [name for name in chosen if name not in known]
    if missing:
        raise Refused(
            f"the input lacks {', '.join(map(repr, missing[:10]))}: it has {', '.join(map(repr, names[:20]))}; "
            "name those to use with --columns, in the model's order"
        )
    if len(chosen) != width:
        raise Refused(
            f"the model takes {width} columns and names none, the input has {len(chosen)}: "
            "name those to use with --columns, in the model's order"
        )
    return TableReader(signature, chosen)


def _tensor_reader(
    signature: Signature, inputs: Sequence[str], names: Sequence[str], known: Collection[str]
) -> TensorReader:
    missing = [name for name in inputs if name not in known]
    if missing:
        raise Refused(
            f"the model takes tensors, one a column, and the input lacks {', '.join(map(repr, missing))}: "
            f"it has {', '.join(map(repr, names[:20]))}"
        )
    return TensorReader(signature)


def _field(spec: TensorSpec, classes: Sequence[object]) -> Field:
    inner = spec.shape[1:]
    if inner in ((), (1,)):
        return Field(spec.name, spec.datatype.name)
    width = range(inner[0]) if len(inner) == 1 else ()
    return Field(spec.name, spec.datatype.name, len(inner), tuple(map(str, classes or width)))


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    return (-1,) if len(spec.shape) == 1 else (-1, 1)


def _nested_shape(value: object) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _parsers(spec: TensorSpec) -> Callable[[str], Any] | None:
    """Return how a table's text becomes a value of the input."""
    if spec.datatype is tensors.BYTES:
        return None
    match spec.datatype.dtype.kind:
        case "f":
            return _parse_float
        case "b":
            return _parse_bool
        case _:
            return _parse_whole


def _parse_float(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(_plain(text))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no number") from None
    if math.isinf(value) and any(map(str.isdigit, text)):  # 1e400, which nobody wrote to mean infinity
        raise ValueError(f"{text[:80]!r} is too large for a number")
    return value


def _parse_whole(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(_plain(text))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no whole number") from None


def _plain(text: str) -> str:
    """Return the text; `1_000`, which is a number to Python and to nobody who writes tables, raises ValueError."""
    if "_" in text:
        raise ValueError(text)
    return text


def _parse_bool(text: str) -> bool | None:
    match text.strip().lower():
        case "":
            return None
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise ValueError(f"{text[:80]!r} is neither true nor false")


def _parse_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise ValueError(f"{text[:80]!r} is no JSON: write the tensor as nested lists") from None
