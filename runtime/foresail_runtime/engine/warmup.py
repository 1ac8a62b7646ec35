"""The first runs of a model: does it answer, how long does a run take, and may requests share one?

That the first dimension of every tensor is variable does not make it a batch: it can be a sequence, and a model
with dynamic quantization scales by all the rows it sees. So unlike rows are run apart and together, and only where
the answers agree do requests share a run. Batches are worth it only where the rows cost less together.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from foresail_runtime import errors, tensors
from foresail_runtime.engine import independence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime.tensors import Datatype, Signature, TensorSpec

    Feed = Mapping[str, npt.NDArray[Any]]

GUESSES: Final = (1, 8, 64, 224, 640)
"""Sizes tried in turn for variable dimensions other than the first: what a model takes there can't be known."""
MOST_GUESSED: Final = 2**22
"""Numbers of an input that a guess may come to, beyond the first guess: a picture of 640 x 640 has 1.2 million."""
COLOURS: Final = 3
PROBE_ROWS: Final = 4
WORTHWHILE: Final = 0.75
"""Rows of a batch have to cost less than this share of what they cost alone."""
DEFAULT_MAX_ROWS: Final = 64
MEASURED_RUNS: Final = 10
ENOUGH_SECONDS: Final = 0.03
"""Measuring ends after this time: a run this long is measured once, since the start waits for it."""
PIECE_SECONDS: Final = 0.005
"""Pieces of a large request are as large as runs in about this time: others wait no longer for it."""
MAX_PIECE_ROWS: Final = 4096
MIXING: Final = "rows of a batch change each other's answers"
UNTOLD: Final = "the warm-up's data has no two unlike rows"
ALONE: Final = ": every request runs alone"
"""What follows from either, and where nothing could be run."""
_UNKNOWN: Final = "Unknown Category"
"""What ONNX Runtime's OneHotEncoder says of it."""
FAR_SECONDS: Final = 0.02
"""Models slower than this, which tables hardly are, are not shown rows far apart: it would hold up the start."""
CHECKED: Final = ("CPUExecutionProvider",)
"""Providers that check every index."""
SLOW_SECONDS: Final = 1.0
"""Models slower than this are not probed for the use of batches: it would hold up the start."""


class Warmable(tensors.Runner, Protocol):
    """A runner that says what it takes, and what it runs on."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""

    @property
    def providers(self) -> tuple[str, ...]:
        """What the session really got, in order."""


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """What warming up found."""

    run_seconds: float | None
    """A run of one row; None if nothing that was guessed ran, so nothing is known."""
    batchable: bool
    """Requests may share a run."""
    max_rows: int
    """Rows worth putting into one run: 1 where a batch saves nothing."""
    split_rows: int = DEFAULT_MAX_ROWS
    """Rows of one request that run at once; more are run in pieces, so that others get their turn."""
    best_rows: int | None = None
    """Rows of the batch with the best throughput seen."""
    best_seconds: float | None = None
    """How long it takes."""
    row_shapes: tuple[tuple[int, ...], ...] = ()
    """What a row of each output has for a shape, where a batch was measured."""
    fixed_rows: int | None = None
    """Rows of one run, where a batch of fewer is filled up and one of more is several runs."""
    note: str = ""
    """What was not as hoped, for the log."""


def alone(seconds: float | None, note: str = "") -> Profile:
    """Return what holds where no two requests may share a run."""
    return Profile(seconds, False, 1, best_rows=1, best_seconds=seconds, note=note)


def is_batched(signature: Signature) -> bool:
    """Tell whether the first dimension of every input and output is variable."""
    return _may_be_batched(signature) and all(spec.shape[0] == -1 for spec in signature.outputs)


def _may_be_batched(signature: Signature) -> bool:
    """Tell whether that of every input is, and no output contradicts it for certain.

    LightGBM's converter declares one label however many rows there are: an output of 1 has to be looked at.
    """
    return (
        bool(signature.inputs)
        and all(spec.shape[:1] == (-1,) for spec in signature.inputs)
        and all(spec.shape[:1] in ((-1,), (1,)) for spec in signature.outputs)
    )


def warm(engine: Warmable, clock: Callable[[], float], sample: Feed | None = None, *, together: int = 2) -> Profile:
    """Run the model until it is warm and return what was found; with a sample, on that and on nothing else.

    So many rows are run `together` to see whether they change each other's answers.

    Raises:
        ModelUnusable: It fails on the sample, or on floats of the only shape that its signature allows.
    """
    if sample is not None:
        return _warm_with(engine, clock, sample, together)
    guess, failure = _first_that_runs(engine)
    if guess is None:
        return Profile(None, False, 1, note=f"no warm-up: nothing that was guessed ran ({failure}){ALONE}")
    row, other = (example(engine.signature, guess, seed) for seed in (0, 1))
    if not _may_be_batched(engine.signature):
        return alone(_measure(engine, row, clock))
    unlike = independence.far(engine.signature, row)
    if engine.providers == CHECKED:
        unlike += independence.larger(engine.signature, row)
    return _compare(engine, clock, (row, other, *unlike), together)


def _warm_with(engine: Warmable, clock: Callable[[], float], sample: Feed, together: int) -> Profile:
    """Run the user's own sample; only one with unlike rows can tell whether rows change each other's answers."""
    try:
        engine.run(sample, engine.output_names)
    except errors.ForesailError as error:
        message = f"the model was loaded and fails on its warm-up: {error.message}"
        raise errors.ModelUnusable("WarmupFailed", message) from error
    if not _may_be_batched(engine.signature) or min(len(array) for array in sample.values()) < 2:
        return alone(_measure(engine, sample, clock), UNTOLD + ALONE)
    ends = [{name: array[place] for name, array in sample.items()} for place in (slice(1), slice(-1, None))]
    return _compare(engine, clock, ends, together)


def _compare(engine: Warmable, clock: Callable[[], float], rows: Sequence[Feed], together: int) -> Profile:
    """Time a row, and a batch where this and unlike rows show that rows do not change each other's answers."""
    row, other, *far = rows
    seconds = _measure(engine, row, clock)
    if all(np.array_equal(row[name], other[name]) for name in row):
        return alone(seconds, UNTOLD + ALONE)
    others = (other, *far) if seconds <= FAR_SECONDS else (other,)
    if not independence.holds(engine, row, others, together):
        return alone(seconds, MIXING + ALONE if is_batched(engine.signature) else "")
    return _measure_batch(engine, row, seconds, clock)


def zeros(signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """Return one row of zeros (of empty text for BYTES); dimensions that vary are 1."""
    return {
        spec.name: np.full(_shape(spec, 1), b"" if spec.datatype is tensors.BYTES else 0, spec.datatype.dtype)
        for spec in signature.inputs
    }


def shown(engine: Warmable, given: tensors.Tensor) -> Signature:
    """Return the signature with what a run on this shows of the outputs' shapes, the first dimensions left out.

    It is as it was where the run fails.
    """
    signature = engine.signature
    try:
        arrays = engine.run({given.name: given.array}, engine.output_names)
    except errors.ForesailError:
        return signature
    shapes = dict(zip(engine.output_names, (array.shape for array in arrays), strict=True))
    outputs = [spec._replace(shape=(*spec.shape[:1], *shapes[spec.name][1:])) for spec in signature.outputs]
    return dataclasses.replace(signature, outputs=tuple(outputs))


def unmeasured() -> Profile:
    """Return what can be said without a run: nothing shows that rows don't change each other's answers."""
    return alone(None, "not warmed up, as asked" + ALONE)


def example(signature: Signature, guess: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Return one row of plausible input; the same for the same seed.

    Whole numbers are 0 and 1 only, since they are often indices into something; text is one letter.
    """
    random = np.random.default_rng(seed)
    letter = bytes([ord("a") + seed % 26])
    return {spec.name: _fill(spec.datatype, _shape(spec, guess), random, letter) for spec in signature.inputs}


def _shape(spec: TensorSpec, guess: int) -> tuple[int, ...]:
    """Return a shape that the input allows; four open dimensions, Hugging Face's pictures, get colours beyond 1."""
    shape = [guess if size == -1 else size for size in spec.shape]
    if spec.shape[:1] == (-1,):
        shape[0] = 1
    if spec.shape[1:] == (-1, -1, -1):
        shape[1] = min(guess, COLOURS)
    return tuple(shape)


def _fill(datatype: Datatype, shape: tuple[int, ...], random: np.random.Generator, letter: bytes) -> npt.NDArray[Any]:
    if datatype is tensors.BYTES:
        elements = np.empty(shape, object)
        elements[...] = letter
        return elements
    if datatype is tensors.BF16:
        return (random.random(shape, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if datatype.dtype.kind == "f":
        return random.random(shape).astype(datatype.dtype)
    return random.integers(0, 2, shape).astype(datatype.dtype)


def _first_that_runs(engine: Warmable) -> tuple[int | None, str]:
    guessed = any(-1 in spec.shape[1:] for spec in engine.signature.inputs)
    failure, doubted = "", False
    for guess in _guesses(engine.signature) if guessed else GUESSES[:1]:
        try:
            engine.run(example(engine.signature, guess, seed=0), engine.output_names)
        except errors.ForesailError as error:
            failure, doubted = error.message, isinstance(error, errors.InvalidRequest)
        else:
            return guess, ""
    if not guessed and not (doubted and _are_looked_up(engine.signature, failure)):
        words = f"the model was loaded and fails on its warm-up: {failure}"
        raise errors.ModelUnusable("WarmupFailed", f"{words}; `warmup: false` leaves that run out")
    return None, failure


def _are_looked_up(signature: Signature, failure: str) -> bool:
    """Tell whether it is the values that a guess can't hit: text and whole numbers are often keys of something.

    scikit-learn's OneHotEncoder refuses what it does not know, floats, too, unless told otherwise.
    """
    kinds = {"O" if spec.datatype is tensors.BYTES else spec.datatype.dtype.kind for spec in signature.inputs}
    return bool(kinds & set("Oiu")) or _UNKNOWN in failure


def _guesses(signature: Signature) -> list[int]:
    """Return the guesses that take no memory worth a word: 640 in each of four dimensions would take gigabytes."""
    most = {guess: max(math.prod(_shape(spec, guess)) for spec in signature.inputs) for guess in GUESSES}
    return [guess for guess in GUESSES if guess == GUESSES[0] or most[guess] <= MOST_GUESSED]


def _measure(engine: Warmable, feed: Feed, clock: Callable[[], float]) -> float:
    """Return the shortest of a few runs: what else the machine does only ever makes one longer."""
    taken: list[float] = []
    while len(taken) < MEASURED_RUNS and sum(taken) < ENOUGH_SECONDS:
        start = clock()
        engine.run(feed, engine.output_names)
        taken.append(clock() - start)
    return min(taken)


def _measure_batch(engine: Warmable, row: Feed, seconds: float, clock: Callable[[], float]) -> Profile:
    if seconds > SLOW_SECONDS:
        return Profile(seconds, True, 1, best_rows=1, best_seconds=seconds)
    batch = {name: np.concatenate([array] * PROBE_ROWS) for name, array in row.items()}
    shapes = tuple(array.shape[1:] for array in engine.run(batch, engine.output_names))
    together = _measure(engine, batch, clock)
    fitting = int(PIECE_SECONDS * PROBE_ROWS / max(together, 1e-9))
    pays = together < PROBE_ROWS * seconds * WORTHWHILE
    return Profile(
        seconds,
        True,
        DEFAULT_MAX_ROWS if pays else 1,
        split_rows=min(MAX_PIECE_ROWS, max(DEFAULT_MAX_ROWS, fitting)),
        best_rows=PROBE_ROWS if pays else 1,
        best_seconds=together if pays else seconds,
        row_shapes=shapes,
    )
