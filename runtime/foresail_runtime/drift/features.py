"""What is looked at of a model's tensors: a number or a text a row, each with a name.

| tensor | features |
|---|---|
| [N], [N, 1] of numbers | its value |
| [N, 2…64] of numbers | each column's value; the table's column names, else their places |
| wider, of more dimensions, or of unknown width | a row's mean and its largest; of [N, C] also the place of that |
| [N], [N, 1] of BYTES | its text |
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from foresail_runtime.tensors import Signature, TensorSpec

MAX_COLUMNS: Final = 64
MAX_FEATURES: Final = 256
"""Of a model; what comes after is not looked at."""
INPUT: Final = "input"
OUTPUT: Final = "output"


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """One tensor and its features."""

    side: str
    tensor: str
    datatype: tensors.Datatype
    names: tuple[str, ...]
    summary: bool
    """Features are summaries of a row, not its values."""

    @property
    def is_text(self) -> bool:
        """Whether its one feature is a text."""
        return self.datatype is tensors.BYTES

    def numbers(self, array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return a row of numbers for each row of a tensor; NaN where there is none."""
        if self.datatype is tensors.BF16:
            array = (array.astype(np.uint32) << 16).view(np.float32)
        flat = array.reshape(len(array), -1)
        if not self.summary:
            return flat.astype(np.float64)
        if not flat.shape[1]:
            return np.full((len(flat), len(self.names)), np.nan)
        parts = [flat.mean(axis=1, dtype=np.float64), flat.max(axis=1), flat.argmax(axis=1)]
        return np.stack(parts[: len(self.names)], axis=1).astype(np.float64)

    def texts(self, array: npt.NDArray[Any]) -> list[str]:
        """Return a text for each row of a tensor of BYTES."""
        return [item.decode(errors="replace") for item in array.reshape(-1)]


def views(signature: Signature, outputs: Sequence[str], columns: Sequence[str] = ()) -> tuple[View, ...]:
    """Return what is looked at; `outputs` are those that requests ask for, `columns` the names of a table's columns."""
    named = columns if len(signature.inputs) == 1 else ()
    found = [_view(INPUT, spec, named) for spec in signature.inputs]
    found += [_view(OUTPUT, spec, ()) for spec in signature.outputs if spec.name in outputs]
    taken: list[View] = []
    room = MAX_FEATURES
    for view in found:
        if view is not None and len(view.names) <= room:
            taken.append(view)
            room -= len(view.names)
    return tuple(taken)


def _view(side: str, spec: TensorSpec, columns: Sequence[str]) -> View | None:
    inner = spec.shape[1:]
    single = inner in ((), (1,))
    if spec.datatype is tensors.BYTES:
        return View(side, spec.name, spec.datatype, (spec.name,), summary=False) if single else None
    if single:
        return View(side, spec.name, spec.datatype, (spec.name,), summary=False)
    if len(inner) == 1 and 0 < inner[0] <= MAX_COLUMNS:
        names = columns if len(columns) == inner[0] else [f"{spec.name}.{place}" for place in range(inner[0])]
        return View(side, spec.name, spec.datatype, tuple(names), summary=False)
    words = ("mean", "largest", "place of largest")[: 3 if len(inner) == 1 else 2]
    return View(side, spec.name, spec.datatype, tuple(f"{spec.name} {word}" for word in words), summary=True)
