"""A model opened for files: no queue, no loop, its runs cut by the size of a row."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors
from foresail_runtime.engine import cores, fixed, session, warmup
from foresail_runtime.repository import digest, divisors, external, fetch, graph
from foresail_runtime.tensors import BYTES, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from foresail_runtime.contract import ModelDescription
    from foresail_runtime.engine.warmup import Warmable
    from foresail_runtime.offline.chunks import Column
    from foresail_runtime.tensors import Signature

RUN_BYTES: Final = 8 * 2**20
"""A run takes as many rows as have inputs of this size."""
MAX_RUN_ROWS: Final = 1024
_UNKNOWN_BYTES: Final = 8
"""What an element of no fixed size counts for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A model and how it is run over rows."""

    path: Path
    digest: str
    engine: Warmable
    run_rows: int
    """Rows that share a run; 1 where rows would change each other's answers."""
    classes: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    """Of outputs that are maps in the model: what their columns stand for, once a warm-up has shown it."""

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return self.engine.signature

    def run(self, inputs: Sequence[Tensor], outputs: tuple[str, ...]) -> tuple[list[list[Column]], dict[int, str]]:
        """Return each output's pieces, rows in order, and why rows (left out of the pieces) could not be run.

        A run that fails is done again row by row, so that one bad row fails alone.
        """
        pieces: list[list[Column]] = [[] for _ in outputs]
        faults: dict[int, str] = {}
        rows = len(inputs[0].array) if inputs else 0
        for start in range(0, rows, self.run_rows):
            for row, found in self._try(inputs, outputs, start, min(start + self.run_rows, rows)):
                if isinstance(found, str):
                    faults[row] = found
                    continue
                for piece, array in zip(pieces, found, strict=True):
                    piece.append(array)
        return pieces, faults

    def _try(
        self, inputs: Sequence[Tensor], outputs: tuple[str, ...], start: int, end: int
    ) -> Iterator[tuple[int, list[Column] | str]]:
        """Yield first rows and what came out of them, or why nothing did."""
        try:
            found: list[Column] | str = self._run(inputs, outputs, start, end)
        except errors.ForesailError as error:
            if end - start > 1:
                for row in range(start, end):
                    yield from self._try(inputs, outputs, row, row + 1)
                return
            found = error.message
        yield start, found

    def _run(self, inputs: Sequence[Tensor], outputs: tuple[str, ...], start: int, end: int) -> list[Column]:
        feed = {tensor.name: tensor.array[start:end] for tensor in inputs}
        arrays = self.engine.run(feed, outputs)
        for name, array in zip(outputs, arrays, strict=True):
            if array.shape[:1] != (end - start,):
                raise errors.ModelFailed(f"output {name!r} has shape {list(array.shape)} for {end - start} rows")
        return list(arrays)


def open_model(description: ModelDescription, folder: Path, threads: int | None) -> Model:
    """Fetch, open and warm a model; `folder` is where fetched ones lie.

    Raises:
        ModelUnusable: It can't be had or opened, or does not take a row at a time.
    """
    path = asyncio.run(fetch.fetch(description, folder, lambda _have, _size: None))
    external.check(path)
    operators = graph.operators(path)
    options = session.Options(
        threads or cores.available(),
        description.execution_providers,
        bool(os.environ.get("FORESAIL_ALLOW_FALLBACK")),
        log_severity=session.SILENT,  # what a row did wrong is in the side file
        operators=operators,
        open_divisors=divisors.are_open(path, operators),
    )
    engine = session.open_engine(path, options)
    size = fixed.rows(engine.signature)
    if size is None:
        _check_rows(engine.signature)
    runner, profile = fixed.warm(
        engine, lambda runner, together: warmup.warm(runner, time.perf_counter, together=together)
    )
    if size is not None and runner is engine:
        raise errors.ModelUnusable(
            "UnsupportedSignature",
            f"{profile.note}; export the model with a first dimension that is variable, or 1",
        )
    rows = _run_rows(runner.signature) if profile.batchable else 1
    return Model(path, digest.of_file(path), runner, rows if size is None else -(-rows // size) * size, engine.classes)


def _check_rows(signature: Signature) -> None:
    for spec in (*signature.inputs, *signature.outputs):
        if spec.shape[:1] not in ((-1,), (1,)):
            raise errors.ModelUnusable(
                "UnsupportedSignature",
                f"{spec.name!r} has the shape {list(spec.shape)}, which does not begin with a dimension for rows: "
                "export the model with a first dimension that is variable, or 1",
            )


def _run_rows(signature: Signature) -> int:
    row = sum(math.prod(map(abs, spec.shape)) * (spec.datatype.size or _UNKNOWN_BYTES) for spec in signature.inputs)
    return min(MAX_RUN_ROWS, max(1, RUN_BYTES // max(1, row)))


def join(pieces: Sequence[Column]) -> Column:
    """Return an output's pieces as one column; a list where rows differ in their shape."""
    arrays = [piece for piece in pieces if isinstance(piece, np.ndarray)]
    if len(arrays) == len(pieces) and len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    return [row for piece in pieces for row in piece]


def readable(column: Column, datatype: Any) -> Column:
    """Return a column without the runtime's own ways: BYTES as text, BF16 as numbers, [N, 1] as [N]."""
    if isinstance(column, list):
        return [readable(np.asarray(row), datatype).tolist() for row in column]  # type: ignore[union-attr]
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if datatype.name == "BF16":
        widened: npt.NDArray[Any] = (column.astype(np.uint32) << 16).view(np.float32)
        return widened
    if datatype is BYTES:
        texts = np.empty(column.size, object)
        texts[:] = [item.decode(errors="replace") for item in column.reshape(-1)]
        return texts.reshape(column.shape)
    plain: npt.NDArray[Any] = column.view(datatype.dtype)
    return plain  # ONNX Runtime's int64 is numpy's longlong, which JSON's encoder does not know
