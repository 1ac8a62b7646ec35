"""A loaded model: arrays in, arrays out, on the thread that calls.

`Engine.run` may be called from several threads at once; ONNX Runtime releases the GIL while it computes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from foresail_runtime import errors
from foresail_runtime.engine import convert, devices, division, memory, providers, recurrent, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

RUN_ERRORS: Final[tuple[type[Exception], ...]] = tuple(
    kind for kind in vars(ort_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
)
"""Every exception class of ONNX Runtime; they have no base class of their own."""
LOAD_ERRORS: Final[tuple[type[Exception], ...]] = (*RUN_ERRORS, RuntimeError, ValueError)
SILENT: Final = 4
"""ONNX Runtime's severity above errors."""
DATA_ERRORS: Final = (ort_errors.InvalidArgument, ort_errors.RuntimeException, ort_errors.Fail)
"""What a node raises that can't work on the values or sizes it was given: the request's fault, once warmed up."""
_DEVICE: Final = re.compile(r"\b(CUDA|CUDNN|CUBLAS|CURAND|CUFFT|TensorRT)\w* (failure|error)\b", re.IGNORECASE)
"""How ONNX Runtime begins what a GPU's libraries say: "CUDA failure 700: an illegal memory access …"."""

_ASKED: Final = re.compile(r"Failed to allocate memory for requested buffer of size (\d+)")
"""How ONNX Runtime says that a node got no memory."""
_MOST_OF_A_DEVICE: Final = 2**40
"""Bytes of memory that no device has."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How a session is opened, and what is known of its model."""

    threads: int = 1
    """Threads one run uses."""
    providers: tuple[str, ...] = ()
    """Execution providers in order of wish; empty: the best that the build has."""
    allow_fallback: bool = False
    """Leave to ONNX Runtime what it does when a provider fails in a run."""
    log_severity: int = 3
    """What ONNX Runtime writes to stderr: 3 errors, 4 what is worse."""
    name: str = ""
    """What the model is called."""
    operators: frozenset[str] = frozenset()
    """What the model's nodes are, as far as known."""
    open_divisors: bool = False
    """The model may divide whole numbers by -1."""


class Engine:
    """One ONNX Runtime session and what is known about it."""

    def __init__(self, session: ort.InferenceSession, options: Options) -> None:
        """Run this session, which was opened so."""
        self.name: Final = options.name
        """What the model is called, for those who find it at work and wonder whose it is."""
        self._run = _plainest(session, allow_fallback=options.allow_fallback)
        self._session = session
        self._recurrent_by: Final = recurrent.find(options.operators)
        self._open_divisors: Final = options.open_divisors
        self.signature: Final = signature.read(session)
        self.providers: Final[tuple[str, ...]] = tuple(session.get_providers())
        """What the session really got, in order."""
        self.output_names: Final = tuple(spec.name for spec in self.signature.outputs)
        self.broken = ""
        """What the device said when it failed; a process can't use it again after that."""
        self.classes: Final[dict[str, list[Any]]] = {}
        """Of outputs that are maps in the model: what their columns stand for; known from the first run on."""
        self._how: ort.RunOptions | None = None
        self._plain: Final = not convert.is_needed(session, self.signature)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Run the model once and return the outputs in the order of their names.

        Raises:
            InvalidRequest: The model can't work on this data: a size or a value that one of its nodes refuses, or
                that would take more memory than there is; or a BYTES input that is no UTF-8 text.
            ModelFailed: The device failed, or ONNX Runtime raised for another reason; the message is its own.
        """
        if self._recurrent_by:
            recurrent.check(self._recurrent_by, inputs)
        if self._open_divisors:
            division.check(inputs)
        try:
            return self._call(inputs, outputs, self._how)
        except RUN_ERRORS as error:
            if _ASKED.search(str(error)):
                self._forget(inputs, outputs)
            raise self._explain(error) from error

    def _call(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], how: ort.RunOptions | None
    ) -> list[npt.NDArray[Any]]:
        if self._plain:
            return self._run(outputs, inputs, how)
        return convert.run(self._session, self.signature, inputs, outputs, self.classes, how=how)

    def _forget(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> None:
        """Have ONNX Runtime forget how much it was asked for in vain, by the same run with its memory shrunk after it.

        It would take as much as it can get for the next small tensor, and a 32nd of that for a list of it: all the
        memory there is, where the kernel gives what it has not (`vm.overcommit_memory` 1, as kubelets set it).
        """
        how = ort.RunOptions()
        how.log_severity_level = SILENT
        how.add_run_config_entry("memory.enable_memory_arena_shrinkage", _arenas(self.providers))
        with contextlib.suppress(*RUN_ERRORS):
            self._call(inputs, outputs, how)

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Have ONNX Runtime write nothing on stderr of runs within the block that fail; for one thread at a time."""
        self._how = ort.RunOptions()
        self._how.log_severity_level = SILENT
        try:
            yield
        finally:
            self._how = None

    def _explain(self, error: Exception) -> errors.ForesailError:
        words = str(error)
        if _DEVICE.search(words):
            if "out of memory" not in words:
                self.broken = _first_line(error)
            return errors.ModelFailed(f"the device failed: {_first_line(error)}")
        if (asked := _ASKED.search(words)) and int(asked[1]) > self._most_bytes():
            return errors.InvalidRequest(
                f"the model asks for {asked[1]} bytes at once to run on this request, more than there are: send "
                "smaller sizes, or smaller values where they stand for some"
            )
        if isinstance(error, DATA_ERRORS) and "allocate" not in words:
            return errors.InvalidRequest(f"the model can't run on this request: {_first_line(error)}")
        return errors.ModelFailed(f"the model failed: {_first_line(error)}")

    def _most_bytes(self) -> int:
        return memory.total() if self.providers == ("CPUExecutionProvider",) else _MOST_OF_A_DEVICE


def open_engine(path: Path, options: Options) -> Engine:
    """Load the model in a file.

    Raises:
        ModelUnusable: The file is no model that ONNX Runtime can run, or the provider wished for is not there.
    """
    chosen = providers.choose(options.providers, ort.get_available_providers())
    devices.load_libraries(chosen)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = options.log_severity
    # Threads that spin while they wait eat the CPU quota of the pod, and the event loop's turn on the core.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), settings, providers=list(chosen))
    except LOAD_ERRORS as error:
        advice = "; there is too little memory for it, so raise the limit" if "alloc" in str(error) else ""
        raise errors.ModelUnusable(
            "ModelInvalid", f"ONNX Runtime {ort.__version__} can't load {path.name}: {_first_line(error)}{advice}"
        ) from error
    providers.check(chosen, session.get_providers(), devices.missing, allow_fallback=options.allow_fallback)
    return Engine(session, options)


def _plainest(session: ort.InferenceSession, *, allow_fallback: bool) -> Callable[..., list[npt.NDArray[Any]]]:
    """Return what runs a session and does nothing else.

    `InferenceSession.run` looks over inputs that we have checked, which costs a tenth of a small model's request; and
    when a provider fails it opens the session again on the CPU, with a line on stdout, which nobody asked for.
    """
    direct = getattr(session, "_sess", None)
    if not allow_fallback:
        session.disable_fallback()
        if direct is not None:
            return direct.run  # type: ignore[no-any-return]
    return session.run  # type: ignore[no-any-return]


def _arenas(chosen: Sequence[str]) -> str:
    """Return the memories that ONNX Runtime keeps for these providers, as it calls them."""
    on_gpu = any(name.startswith(("CUDA", "Tensorrt")) for name in chosen)
    return "cpu:0;gpu:0" if on_gpu else "cpu:0"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:500]
