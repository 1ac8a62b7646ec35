"""Tables: rows of a JSON document, by column name, to a model's inputs, and its outputs to rows again.

A model takes a table when it has an input a column ([N] or [N, 1], the input's name is the column's), or one input
[N, F], whose columns the metadata key `columns` names (a list, or a name a line). A request is

    {"rows": [{"age": 41, "amount": 3.5}, …]}    rows as objects, in any order of keys
    {"rows": [[41, 3.5], …]}                     rows as lists, in the model's order
    {"columns": ["amount", "age"], "data": [[3.5, 41], …]}    as pandas' `to_dict("split")` writes it

and its answer `{"rows": [{"label": 1, "probabilities": [0.1, 0.9]}, …]}`, a field an output. A null is a missing
number: NaN for an input of floats, refused for any other.
"""

from __future__ import annotations

import collections
import itertools
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

_TOO_LITTLE: Final = 'send {"rows": [{"column": value, …}, …]}'
_SHOWN: Final = 10
"""Columns that an error lists."""


class Table:
    """The columns that one loaded model takes; made once, used by every request, never changed."""

    def __init__(self, signature: tensors.Signature) -> None:
        """Read the signature.

        Raises:
            ModelUnusable: The model takes no table.
        """
        self._inputs = signature.inputs
        self.columns: Final = columns(signature)
        """Names in the model's order; empty where it has one input and names none of its columns."""
        self.width: Final = len(self.columns) or signature.inputs[0].shape[1]
        """How many columns there are."""
        self.specs: Final = signature.inputs if len(signature.inputs) > 1 else signature.inputs * self.width
        """The input that each column goes to, in the model's order."""

    def read(self, document: object) -> tuple[tensors.Tensor, ...]:
        """Return the inputs that a request's document holds.

        Raises:
            InvalidRequest: It holds no rows, or rows that do not fit the columns; the message names row and column.
        """
        rows = self._arranged(document)
        if len(self._inputs) == 1:
            spec = self._inputs[0]
            flat = list(itertools.chain.from_iterable(rows))
            shape = (len(rows),) if len(spec.shape) == 1 else (len(rows), self.width)
            return (tensors.Tensor(spec.name, spec.datatype, self._array(spec, flat).reshape(shape)),)
        return tuple(
            tensors.Tensor(spec.name, spec.datatype, self._array(spec, [row[i] for row in rows]).reshape(_shape(spec)))
            for i, spec in enumerate(self._inputs)
        )

    def answer(self, outputs: Sequence[tensors.Tensor]) -> dict[str, Any]:
        """Return the outputs row by row.

        Raises:
            InvalidRequest: An output holds what JSON can't carry.
        ModelFailed: The outputs differ in their number of rows.
        """
        counts = {tensor.name: tensor.array.shape[:1] for tensor in outputs}
        if len(set(counts.values())) > 1 or () in counts.values():
            raise errors.ModelFailed(f"the outputs are not one value a row: {counts}; ask for them as tensors")
        fields = {tensor.name: _values(tensor) for tensor in outputs}
        return {"rows": [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]}

    def _arranged(self, document: object) -> list[list[Any]]:
        if isinstance(document, dict) and "data" in document and "columns" in document:
            names = document["columns"]
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise errors.InvalidRequest("columns is not a list of names")
            return self._reordered(names, self._lists(document["data"], len(names)))
        rows = document.get("rows") if isinstance(document, dict) else document
        if not isinstance(rows, list) or not rows:
            raise errors.InvalidRequest(f"the request has no rows: {_TOO_LITTLE}")
        if not isinstance(rows[0], dict):
            return self._lists(rows, self.width)
        if not self.columns:
            raise errors.InvalidRequest(
                f"the model names none of its {self.width} columns: send each row as a list of {self.width} numbers, "
                "or write their names into the model's metadata as `columns`"
            )
        return [self._row(index, row) for index, row in enumerate(rows)]

    def _row(self, index: int, row: object) -> list[Any]:
        if not isinstance(row, dict):
            raise errors.InvalidRequest(f"row {index} is not an object as row 0 is")
        if len(row) == self.width:
            try:
                return [row[name] for name in self.columns]
            except KeyError:
                pass  # said below, with the others that are missing
        raise errors.InvalidRequest(f"row {index} {self._difference(row)}")

    def _difference(self, given: Mapping[str, object]) -> str:
        missing = [name for name in self.columns if name not in given]
        unknown = [name for name in given if name not in self.columns]
        if missing:
            return f"lacks {_listed(missing)}"
        return f"has {_listed(unknown)}, which the model does not take: it takes {_listed(self.columns)}"

    def _lists(self, rows: object, width: int) -> list[list[Any]]:
        if not isinstance(rows, list) or not rows:
            raise errors.InvalidRequest(f"the request has no rows: {_TOO_LITTLE}")
        for index, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != width:
                raise errors.InvalidRequest(f"row {index} is not a list of {width} values")
        return rows

    def _reordered(self, names: list[str], rows: list[list[Any]]) -> list[list[Any]]:
        if tuple(names) == self.columns:
            return rows
        if len(set(names)) != len(names) or set(names) != set(self.columns):
            raise errors.InvalidRequest(f"columns {self._difference(dict.fromkeys(names))}")
        order = [names.index(name) for name in self.columns]
        return [[row[position] for position in order] for row in rows]

    def _array(self, spec: tensors.TensorSpec, values: list[Any]) -> npt.NDArray[Any]:
        kinds = set(map(type, values))
        allowed = _allowed(spec.datatype)
        if kinds - allowed:
            raise self._misfit(spec, values, lambda value: type(value) in allowed)
        if spec.datatype is tensors.BYTES:
            return _strings(values)
        if type(None) in kinds:
            values = [math.nan if value is None else value for value in values]
        try:
            return _numbers(spec.datatype, values)
        except (OverflowError, FloatingPointError):
            raise self._misfit(spec, values, lambda value: _is_held(spec.datatype, value)) from None

    def _misfit(
        self, spec: tensors.TensorSpec, values: list[Any], fits: Callable[[Any], bool]
    ) -> errors.InvalidRequest:
        index = next(index for index, value in enumerate(values) if not fits(value))
        width = self.width if len(self._inputs) == 1 else 1
        row, position = divmod(index, width)
        column = spec.name if len(self._inputs) > 1 else (self.columns[position] if self.columns else str(position))
        return errors.InvalidRequest(f"row {row}, column {column!r}: {_what_is_wrong(spec.datatype, values[index])}")


# By numpy's kind of datatype, the types that JSON values may have.
_ALLOWED: Final[Mapping[str, frozenset[type]]] = {
    "f": frozenset({int, float, type(None)}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
    "S": frozenset({str}),
}


def _what_is_wrong(datatype: tensors.Datatype, value: Any) -> str:
    if value is None:
        return f"a value is missing, and {datatype.name} has none for that: fill it in"
    shown = repr(value[:80]) if isinstance(value, str) else str(value)[:80]
    if type(value) in _allowed(datatype):
        return f"{shown} is out of the range of {datatype.name}"
    whole = datatype.dtype.kind in "iu" and isinstance(value, float) and value.is_integer()
    return f"{shown} is no value for {datatype.name}" + (f": write {int(value)}" if whole else "")


def _allowed(datatype: tensors.Datatype) -> frozenset[type]:
    return _ALLOWED["S" if datatype is tensors.BYTES else datatype.dtype.kind]


def _numbers(datatype: tensors.Datatype, values: list[Any]) -> npt.NDArray[Any]:
    """Return numbers as an array; numpy alone would make infinity of one that is too large.

    Raises:
        OverflowError: One is too large; or FloatingPointError.
    """
    with np.errstate(over="raise"):
        dtype = np.dtype(np.float64) if datatype.dtype.kind == "f" else datatype.dtype
        return np.array(values, dtype=dtype).astype(datatype.dtype, copy=False)


def _is_held(datatype: tensors.Datatype, value: Any) -> bool:
    try:
        _numbers(datatype, [value])
    except (OverflowError, FloatingPointError):
        return False
    return True


def columns(signature: tensors.Signature) -> tuple[str, ...]:
    """Return the names of the columns that a model takes; empty where it takes a table and names none.

    Raises:
        ModelUnusable: It takes no table, or names another number of columns than it takes.
    """
    inputs = signature.inputs
    if any(spec.datatype is tensors.BF16 for spec in inputs):
        name = next(spec.name for spec in inputs if spec.datatype is tensors.BF16)
        raise errors.ModelUnusable("TaskMismatch", f"tabular takes no BF16, and input {name} is BF16: use tensors")
    if inputs and all(map(is_column, inputs)):
        return tuple(spec.name for spec in inputs)
    if len(inputs) != 1 or len(inputs[0].shape) != 2 or inputs[0].shape[1] < 1:
        shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs)
        raise errors.ModelUnusable(
            "TaskMismatch", f"tabular needs an input a column, or one input [N, columns]; this model takes {shapes}"
        )
    named = labels.parse(signature.metadata.get("columns", ""), "the model's metadata columns")
    if named and len(named) != inputs[0].shape[1]:
        raise errors.ModelUnusable(
            "TaskMismatch",
            f"the model's metadata columns names {len(named)}, and its input takes {inputs[0].shape[1]}: name them all",
        )
    twice = [name for name, times in collections.Counter(named.values()).items() if times > 1]
    if twice:
        raise errors.ModelUnusable(
            "TaskMismatch", f"the model's metadata columns names {twice[0]!r} twice: give each column its own name"
        )
    return tuple(named.values())


def named(signature: tensors.Signature) -> tuple[str, ...]:
    """Return the names of a table's columns; empty where the model takes no table, too."""
    try:
        return columns(signature)
    except errors.ModelUnusable:
        return ()


def is_column(spec: tensors.TensorSpec) -> bool:
    """Tell whether an input is one value a row: so many numbers and no others, three for one, are none."""
    return spec.shape[1:] == (1,) or (len(spec.shape) == 1 and spec.shape[0] in (-1, 1))


def _shape(spec: tensors.TensorSpec) -> tuple[int, ...]:
    return (-1,) if len(spec.shape) == 1 else (-1, 1)


def _strings(values: list[str]) -> npt.NDArray[Any]:
    array = np.empty(len(values), object)
    try:
        array[:] = [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise errors.InvalidRequest("a text is no UTF-8") from error
    return array


def _values(tensor: tensors.Tensor) -> list[Any]:
    array = tensor.array
    if tensor.datatype is tensors.BYTES:
        array = (
            np.vectorize(lambda item: item.decode(errors="replace"), otypes=[object])(array) if array.size else array
        )
    if tensor.datatype is tensors.BF16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise errors.InvalidRequest(
            f"output {tensor.name!r} holds NaN or infinity, which JSON can't carry: ask for it as binary tensor data"
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return list(array.tolist())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
