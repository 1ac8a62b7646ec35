"""Do rows that share a run change each other's answers? Unlike rows are run apart and together, and have to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.engine.warmup import Warmable
    from foresail_runtime.tensors import Datatype, Signature

    Arrays = Sequence[npt.NDArray[Any]]
    Feed = Mapping[str, npt.NDArray[Any]]

FAR: Final = 100.0
"""The deviation from 0 of the numbers of a far row."""
LARGER: Final = (2, 10)
"""Whole numbers of one input are from the first to below the second."""
LARGEST: Final = (10, 100)
"""Whole numbers of all inputs are."""
MOST_SINGLE: Final = 4
"""Of more inputs none is looked at by itself: columns of a table, which share their runs."""
_PICTURE_DIMENSIONS: Final = 4


def far(signature: Signature, row: Feed) -> list[Feed]:
    """Return two rows like this, far from it and from each other; none of a model of pictures, or without floats.

    A model that looks at all its rows may do so only for what is large, or negative: it tells outliers, or divides by
    the largest if that is over 1. Pictures are neither, and take long. Text stays as it is, and so do whole numbers, of
    which `larger` has some.
    """
    floats = [spec for spec in signature.inputs if _is_float(spec.datatype)]
    if _are_pictures(signature) or not floats:
        return []
    random = np.random.default_rng(2)
    numbers = {spec: random.standard_normal(row[spec.name].shape) * FAR for spec in floats}
    return [
        {**row, **{spec.name: _of(spec.datatype, array * sign) for spec, array in numbers.items()}} for sign in (1, -1)
    ]


def larger(signature: Signature, row: Feed) -> list[Feed]:
    """Return rows like this with larger whole numbers; none of a model of pictures, or without whole numbers.

    A model may look at all its rows for the largest of them only: the longest text, say. Those of one input each, since
    what lies beyond the least table is refused and tells nothing; and all of them, larger still. Nobody may be shown
    them who does not check an index, as GPUs do not.
    """
    whole = [spec for spec in signature.inputs if spec.datatype.dtype.kind in "iu" and not _is_float(spec.datatype)]
    if _are_pictures(signature) or not whole:
        return []
    random = np.random.default_rng(3)
    single = [[spec] for spec in whole] if len(whole) <= MOST_SINGLE else []
    shown = [*((specs, LARGER) for specs in single), (whole, LARGEST)]
    return [
        {
            **row,
            **{
                spec.name: random.integers(low, high, row[spec.name].shape).astype(spec.datatype.dtype)
                for spec in specs
            },
        }
        for specs, (low, high) in shown
    ]


def holds(runner: Warmable, row: Feed, others: Sequence[Feed], count: int) -> bool:
    """Tell whether this row and each of the others, so many in turns, give what each gives alone.

    Three at least, but for pictures, so that a row meets itself and both orders. One of the others that the model
    refuses tells nothing; another one has to.
    """
    count = count if _are_pictures(runner.signature) else max(count, 3)
    told = False
    try:
        alone = runner.run(row, runner.output_names)
        for other in others:
            try:
                apart = (alone, runner.run(other, runner.output_names))
            except errors.InvalidRequest:
                continue
            turns = {name: np.concatenate([(row, other)[turn % 2][name] for turn in range(count)]) for name in row}
            if not _agree(runner.signature, runner.run(turns, runner.output_names), apart, count):
                return False
            told = True
    except errors.ForesailError:
        return False
    return told


def _agree(signature: Signature, together: Arrays, apart: tuple[Arrays, Arrays], count: int) -> bool:
    return all(
        len(array) == count
        and all(agree(spec.datatype, array[turn : turn + 1], apart[turn % 2][place]) for turn in range(count))
        for place, (spec, array) in enumerate(zip(signature.outputs, together, strict=True))
    )


def agree(datatype: Datatype, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Tell whether two outputs are the same but for the rounding of another order of additions."""
    if one.shape != other.shape:
        return False
    if datatype is tensors.BF16:
        one, other = ((array.astype(np.uint32) << 16).view(np.float32) for array in (one, other))
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    tolerance = 1e-2 if datatype.size == 2 else 1e-3
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * 0.1, equal_nan=True))


def _are_pictures(signature: Signature) -> bool:
    return any(len(spec.shape) >= _PICTURE_DIMENSIONS for spec in signature.inputs)


def _is_float(datatype: Datatype) -> bool:
    return datatype is tensors.BF16 or datatype.dtype.kind == "f"


def _of(datatype: Datatype, numbers: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    if datatype is tensors.BF16:
        return (numbers.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return numbers.astype(datatype.dtype)
