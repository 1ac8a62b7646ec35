"""What flows from a source through a job to a sink."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

Column: TypeAlias = list[Any] | npt.NDArray[Any]
"""A value a row; an array only where no value is missing."""

CHUNK_ROWS: Final = 8192
CHUNK_BYTES: Final = 8 * 2**20
"""A chunk ends with the row that reaches either."""


AS_IT_IS: Final = "\0"
"""Ends the name of a wanted column that is to come unread, beside the one that is read; no column's name holds it."""


def column_of(name: str) -> str:
    """Return the input's column that a wanted one is."""
    return name.removesuffix(AS_IT_IS)


def clean(text: str) -> str:
    """Return text that can be UTF-8: bytes of the input that are not become U+FFFD, and nothing else changes."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


class Refused(ValueError):  # noqa: N818  # read as such where it is raised
    """What was asked for can't be done; the message is a sentence with the fix."""


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the input, in order."""

    first: int
    """Number of its first row; the input's first is 0."""
    count: int
    columns: Mapping[str, Column]
    """The columns that were asked for, `count` values each; of a faulty row what there is."""
    faults: Mapping[int, str]
    """Index in the chunk → why that row can't be read."""
    position: int
    """Where the next chunk begins, in the source's own terms."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """What became of a chunk's rows."""

    columns: Mapping[str, Column]
    """A value a row for each of the job's fields; None where the row has a fault."""
    faults: Mapping[int, str]


class Ran(NamedTuple):
    """Rows that went through the model."""

    rows: list[int]
    """Their indices in the chunk."""
    inputs: Sequence[npt.NDArray[Any]]
    outputs: Sequence[Column]


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One column of the output."""

    name: str
    kind: str
    """A datatype of the protocol, `kept` (as the input has it), `text`, or one of `pictures`."""
    depth: int = 0
    """How deep lists are nested in it; 0: one value a row."""
    parts: tuple[str, ...] = ()
    """What the values of a list of depth 1 are called; empty: their number is not known beforehand."""


class Source(Protocol):
    """A file, or a folder of pictures."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns there are; of JSON lines those of the first row."""

    @property
    def known(self) -> Collection[str]:
        """The columns that may be asked for: `names`, and of JSON lines those of other rows at the beginning."""

    @property
    def identity(self) -> str:
        """What changes when the content does; cheap to tell."""

    @property
    def rows(self) -> int | None:
        """How many there are; None where only reading it all would tell."""

    def portion(self, position: int) -> float:
        """Return which part of the input lies before a position, from 0 to 1."""

    def chunks(self, position: int, first: int, wanted: Mapping[str, Callable[[str], Any] | None]) -> Iterator[Chunk]:
        """Yield the chunks from a position on, the row there being number `first`.

        `wanted` are the columns to read; where the source has nothing but text, the function reads a value or raises
        ValueError. A name that ends in AS_IT_IS is the column without that ending, once more.
        """


class Job(Protocol):
    """What is done with rows."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of the output."""

    @property
    def wanted(self) -> Mapping[str, Callable[[str], Any] | None]:
        """The columns of the input that are read; see `Source.chunks`."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The model's outputs that are asked for."""

    def run(self, chunk: Chunk, faults: dict[int, str]) -> Iterator[Ran]:
        """Yield what ran, in order, and write down why other rows did not."""

    def score(self, chunk: Chunk) -> Scored:
        """Return what becomes of the rows."""


def good_rows(chunk: Chunk) -> list[int]:
    """Return the indices of the rows without a fault."""
    return [index for index in range(chunk.count) if index not in chunk.faults]


def pick(column: Column, indices: list[int]) -> Column:
    """Return some values of a column."""
    if len(indices) == len(column):
        return column
    return column[indices] if isinstance(column, np.ndarray) else [column[index] for index in indices]


def spread(values: Column, indices: list[int], count: int) -> Column:
    """Return a column of `count` values, those given at their indices and None between."""
    if len(indices) == count:
        return values
    column: list[Any] = [None] * count
    for index, value in zip(indices, values, strict=True):
        column[index] = value
    return column
