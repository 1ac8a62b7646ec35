"""The termination message: why a pod's process ended, for the kubelet to read and the operator to pass on.

Native code that crashes, and the kernel that ends a process for its memory, leave no time for last words. So they
are written beforehand, and taken back at an ordinary end. A server of several models keeps them up to date: they name
those that run, or the one that ran last.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import contract, logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from foresail_runtime import errors
    from foresail_runtime.tensors import Runner

log = logging.getLogger(__name__)


class Foretold:
    """What will be true if the process ends without a word, with the memory that it held last; used from any thread."""

    def __init__(self, path: str | None, model: str) -> None:
        """Leave it; None: nobody reads it."""
        self._path = path
        self._model = model
        self._lock = threading.Lock()
        self._memory = 0
        self._closed = path is None
        _leave(path, _crashed(model))

    def look(self, memory_bytes: int) -> None:
        """Take the memory down if it has changed by more than a twentieth: each write is one of a whole file."""
        with self._lock:
            if not self._closed and abs(memory_bytes - self._memory) > self._memory / 20:
                self._memory = memory_bytes
                _leave(self._path, _crashed(self._model, memory_bytes))

    def close(self) -> None:
        """Write no more: from now on another reason stands there."""
        with self._lock:
            self._closed = True


def write(path: str | None, failure: errors.ModelUnusable, model: str | None) -> None:
    """Leave the reason of the end."""
    _leave(path, contract.Termination(failure.reason, failure.message, model).encode())


def forget(path: str | None) -> None:
    """Take back what was left: the end is an ordinary one."""
    _leave(path, "")


class Board:
    """Last words that follow what runs, for a server of several models; used from any thread.

    A write is a system call, so none is made while the same model runs again and again.
    """

    def __init__(self, path: str) -> None:
        """Take the file over.

        Raises:
            OSError: It can't be written.
        """
        self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._written = ""

    @contextlib.contextmanager
    def names(self, model: str) -> Iterator[None]:
        """Name a model for as long as it runs, or is loaded."""
        with self._lock:
            self._running.append(model)
            self._tell()
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(model)
                if self._running:
                    self._tell()

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _tell(self) -> None:
        names = ", ".join(sorted(set(self._running)))
        if self._file is None or names == self._written:
            return
        self._written = names
        try:
            os.pwrite(self._file, _padded(names), 0)
        except OSError as error:
            log.warning("can't write the termination message", extra=logs.fields(error=error))


class Watched:
    """An engine whose runs are on the board."""

    def __init__(self, engine: Runner, board: Board, model: str) -> None:
        self._engine = engine
        self._board = board
        self._model = model

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs."""
        return self._engine.output_names

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Run once; raises what the engine raises."""
        with self._board.names(self._model):
            return self._engine.run(inputs, outputs)


_BOARD_BYTES: Final = 2048
"""Every message has this length, so that the end of a longer one never shows behind a shorter one."""


@functools.lru_cache(64)
def _padded(model: str) -> bytes:
    return _crashed(model[:400]).encode().ljust(_BOARD_BYTES)


def resident_bytes() -> int:
    """Return what this process holds in memory."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # half the cost of a Path, again and again
        return int(file.read().split()[1]) * _PAGE_BYTES


_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def _crashed(model: str, memory_bytes: int | None = None) -> str:
    return contract.Termination(
        "ModelCrashed",
        f"the process ended without a word while it loaded or ran model {model!r}: a crash in native code, "
        "an end by the kernel for want of memory, or a liveness probe that had no answer",
        model,
        memory_bytes,
    ).encode()


def _leave(path: str | None, text: str) -> None:
    if path is None:
        return
    try:
        Path(path).write_text(text)
    except OSError as error:
        log.warning("can't write the termination message", extra=logs.fields(path=path, error=error))
