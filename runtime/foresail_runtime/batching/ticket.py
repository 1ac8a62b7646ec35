"""One request on its way through the engine, and how it shares a run with others. Knows no loop and no thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Hashable

    from foresail_runtime.tensors import Runner, Tensor

Arrays: TypeAlias = list[npt.NDArray[Any]]
Done: TypeAlias = Callable[[Arrays | BaseException], None]


@dataclasses.dataclass(slots=True, eq=False)
class Ticket:
    """One request, or one piece of it, on its way through the engine."""

    inputs: Sequence[Tensor]
    outputs: tuple[str, ...]
    rows: int
    size: int
    lane: tuple[int, Hashable]
    number: int
    since: float
    deadline: float
    done: Done
    over: bool = False
    """It was answered, or nobody waits for it any more."""

    def settle(self, outcome: Arrays | BaseException) -> None:
        """Hand the outcome over, once."""
        if not self.over:
            self.over = True
            self.done(outcome)


def count_rows(inputs: Sequence[Tensor]) -> int:
    """Return the size of the first dimension, which all inputs share.

    Raises:
        InvalidRequest: They don't.
    """
    rows = inputs[0].array.shape[0]
    for tensor in inputs[1:]:
        if tensor.array.shape[0] != rows:
            raise errors.InvalidRequest(
                f"input {tensor.name!r} has {tensor.array.shape[0]} rows, input {inputs[0].name!r} has {rows}: "
                "the first dimension is the batch and has to be the same"
            )
    return int(rows)


def run(engine: Runner, batch: Sequence[Ticket]) -> Arrays:
    """Run the requests of a batch together, on whatever thread this is; raises what the engine raises."""
    first = batch[0]
    if len(batch) == 1:
        return engine.run({tensor.name: tensor.array for tensor in first.inputs}, first.outputs)
    feed = {
        tensor.name: np.concatenate([item.inputs[index].array for item in batch])
        for index, tensor in enumerate(first.inputs)
    }
    arrays = engine.run(feed, first.outputs)
    rows = sum(item.rows for item in batch)
    for name, array in zip(first.outputs, arrays, strict=True):
        if array.shape[:1] != (rows,):
            raise errors.ModelFailed(f"output {name!r} has shape {array.shape} for {rows} rows of input")
    return arrays


def share_out(batch: Sequence[Ticket], outcome: Arrays | BaseException) -> None:
    """Give each request its rows of the outputs, or all of them the error."""
    if len(batch) == 1 or not isinstance(outcome, list):
        for ticket in batch:
            ticket.settle(outcome)
        return
    start = 0
    for ticket in batch:
        end = start + ticket.rows
        ticket.settle([array[start:end] for array in outcome])
        start = end


def too_late(ticket: Ticket, now: float) -> errors.DeadlineExceeded:
    """Return the answer of a request whose deadline passed in the queue; it may be the last part of a large one."""
    return errors.DeadlineExceeded(
        f"the request's deadline passed before all of it was run, it last waited {now - ticket.since:.3f} s for the "
        "engine: the model is overloaded, or the deadline too short"
    )


def too_slow() -> errors.DeadlineExceeded:
    """Return the answer of a request whose deadline passed in the engine."""
    return errors.DeadlineExceeded("the request's deadline passed while the model ran: allow more time, or ask less")
