"""`foresail reference MODEL DATA OUT.json`: what the model's rows look like, for the server to compare with."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors
from foresail_runtime.drift import collect, features, reference
from foresail_runtime.offline.chunks import Chunk, Ran, Refused, pick
from foresail_runtime.tasks import tabular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from foresail_runtime.drift.reference import Reference
    from foresail_runtime.offline.chunks import Job, Source
    from foresail_runtime.offline.model import Model
    from foresail_runtime.offline.progress import Bar

SEED: Final = 0
"""The same data gives the same reference."""


def learn(model: Model, source: Source, job: Job, limits: tuple[int, int], bar: Bar) -> Reference:
    """Run the model over a sample of the rows and return their bins; `limits` are the rows and the bins wanted.

    Raises:
        Refused: No row could be run.
    """
    rows, bins = limits
    collector = collect.Collector(features.views(model.signature, job.outputs, tabular.named(model.signature)))
    inputs = [spec.name for spec in model.signature.inputs]
    faults: dict[int, str] = {}
    failed = 0
    for chunk in thin(source, job, rows):
        faults = {**chunk.faults}
        for ran in job.run(chunk, faults):
            for given, got in _even(ran):
                collector.add(dict(zip(inputs, given, strict=True)), dict(zip(job.outputs, got, strict=True)))
        failed += len(faults)
        bar.update(collector.rows, source.portion(chunk.position), failed)
    bar.end(collector.rows, failed, "reference")
    if not collector.rows:
        why = f": the last error was {list(faults.values())[-1]!r}" if faults else ""
        raise Refused(f"the data has no row that the model can run on{why}")
    return collector.reference(model.digest, bins)


def thin(source: Source, job: Job, rows: int) -> Iterator[Chunk]:
    """Yield chunks with about so many rows in all, taken at random from everywhere in the input."""
    chance = random.Random(SEED)  # noqa: S311  # a sample, no secret
    total: float | None = source.rows
    for chunk in source.chunks(0, 0, job.wanted):
        if total is None:  # as many rows to the byte as the first chunk has
            total = chunk.count / max(source.portion(chunk.position), 1e-9)
        share = rows / max(total, 1)
        if share >= 1:
            yield chunk
            continue
        kept = [row for row in range(chunk.count) if chance.random() < share]
        columns = {name: pick(column, kept) for name, column in chunk.columns.items()}
        faults = {place: chunk.faults[row] for place, row in enumerate(kept) if row in chunk.faults}
        yield Chunk(chunk.first, len(kept), columns, faults, chunk.position)


def _even(ran: Ran) -> Iterator[tuple[Sequence[Any], Sequence[Any]]]:
    """Yield inputs and outputs as arrays: all at once, but where rows have outputs of different shapes."""
    if not any(isinstance(column, list) for column in ran.outputs):
        yield ran.inputs, ran.outputs
        return
    for row in range(len(ran.rows)):
        yield (
            [array[row : row + 1] for array in ran.inputs],
            [np.asarray(column[row])[np.newaxis] for column in ran.outputs],
        )


def check_target(target: Path) -> None:
    """Refuse a target that can't be written, or that holds something else than a reference.

    Raises:
        Refused: As said.
    """
    if not target.parent.is_dir():
        raise Refused(f"there is no folder {target.parent}: make it, or name another file")
    if target.exists():
        try:
            reference.Reference.decode(target.read_text(encoding="utf-8"))
        except (errors.ModelUnusable, OSError, ValueError) as error:
            raise Refused(f"{target} is there and is no reference: name another file") from error


def write(found: Reference, target: Path) -> None:
    """Write the document in one step."""
    made = target.with_name(f"{target.name}.tmp")
    with made.open("w", encoding="utf-8") as file:
        file.write(found.encode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    made.replace(target)
