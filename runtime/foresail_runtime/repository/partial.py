"""A file that is still being fetched: its bytes, and beside them the validator that says of which file they are."""

from __future__ import annotations

import contextlib
import hashlib
from typing import IO, TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK_BYTES: Final = 2**20


class State(NamedTuple):
    """How much is there; without a validator it can't be continued, and counts as nothing."""

    size: int
    validator: str


class Sink:
    """Takes bytes: writes and hashes them."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._behind = start
        """Bytes of an earlier attempt that are not in the hash yet."""

    def write(self, data: bytes) -> None:
        """Append bytes; blocks on the disk."""
        if self._behind:
            self._catch_up()
        self._file.write(data)
        self._hash.update(data)

    def digest(self) -> str:
        """Return `sha256:…` of all the file's bytes."""
        if self._behind:
            self._catch_up()
        return f"sha256:{self._hash.hexdigest()}"

    def _catch_up(self) -> None:
        self._file.seek(0)
        while self._behind and (data := self._file.read(min(CHUNK_BYTES, self._behind))):
            self._hash.update(data)
            self._behind -= len(data)


class Partial:
    """`<target>.part` and `<target>.validator`; `complete` renames the first to the target in one step."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._validator = target.with_name(target.name + ".validator")

    def read(self) -> State:
        """Return what an earlier attempt, or an earlier process, has left."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            validator, size = self._validator.read_text(), self.path.stat().st_size
        except OSError:
            return State(0, "")
        return State(size, validator) if validator else State(0, "")

    @contextlib.contextmanager
    def writing(self, start: int, validator: str) -> Iterator[Sink]:
        """Give a sink for the bytes from `start` on; what was there behind it is cut off first.

        `digest` may be asked of the sink when the bytes have been written, also after the file is closed,
        as long as at least one was.
        """
        if start == 0:
            self._validator.unlink(missing_ok=True)
            self.path.write_bytes(b"")
            self._validator.write_text(validator)
        with self.path.open("r+b") as file:
            file.truncate(start)
            file.seek(start)
            yield Sink(file, start)

    def discard(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def complete(self) -> None:
        """Give the file its name."""
        self.path.replace(self.target)
        self._validator.unlink(missing_ok=True)
