"""How far a run has come, on disk: what a run that was killed goes on from.

After a checkpoint the journal says how many rows are done, where the next one begins in the input and how long the
partial output and the side file are. A run that finds it cuts both files back to there. The journal is written
after what it speaks of is on the disk, and replaced in one step: it is always true.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from typing import TYPE_CHECKING, Final

from foresail_runtime.offline.chunks import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHECKPOINT_SECONDS: Final = 2.0
"""How much work a crash can cost."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    rows: int = 0
    faults: int = 0
    position: int = 0
    output_bytes: int = 0
    error_bytes: int = 0
    read_all: bool = False


class Files:
    """The files of one run: the partial output, the side file, the journal."""

    def __init__(self, target: Path) -> None:
        self.target: Final = target
        self.partial: Final = _beside(target, ".partial")
        self.errors: Final = _beside(target, ".errors.jsonl")
        self.journal: Final = _beside(target, ".resume.json")

    @property
    def all(self) -> tuple[Path, ...]:
        """All of them, the output itself first."""
        return self.target, self.partial, self.errors, self.journal

    def begin(self, identity: Mapping[str, str], *, overwrite: bool) -> Progress:
        """Return where to begin.

        Raises:
            Refused: The output is there already, or what lies beside it belongs to another run.
        """
        if overwrite:
            if self.partial.exists():
                Appender(self.partial, 0, cut=False).close()  # refuses where another run is at work
            for path in reversed(self.all):
                path.unlink(missing_ok=True)
        if self.journal.exists():
            return self._continue(identity)
        if self.target.exists():
            raise Refused(f"{self.target} is there already: name another output, or say --overwrite")
        self.target.parent.mkdir(parents=True, exist_ok=True)
        return Progress()

    def _continue(self, identity: Mapping[str, str]) -> Progress:
        try:
            document = json.loads(self.journal.read_text())
            known, progress = dict(document["of"]), Progress(**document["progress"])
        except (ValueError, TypeError, KeyError) as error:
            raise Refused(f"{self.journal} can't be read: delete it, or say --overwrite, to begin anew") from error
        changed = [name for name, value in identity.items() if known.get(name) != value]
        if changed:
            raise Refused(
                f"{self.partial} is of a run with another {' and '.join(changed)}: "
                "say --overwrite to begin anew, or name another output"
            )
        return progress

    def save(self, identity: Mapping[str, str], progress: Progress) -> None:
        """Write the journal; what it speaks of is on the disk already."""
        made = _beside(self.journal, ".tmp")
        with made.open("w") as file:
            json.dump({"of": dict(identity), "progress": dataclasses.asdict(progress)}, file)
            file.flush()
            os.fsync(file.fileno())
        made.replace(self.journal)

    def end(self, faults: int) -> None:
        """Take away what only a run that goes on needs."""
        if not faults:
            self.errors.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)


class Appender:
    """A file that grows; opened at a length, what lay behind it is cut off."""

    def __init__(self, path: Path, length: int, *, cut: bool = True) -> None:
        """Open and lock the file, and `cut` off what lies behind its length.

        Raises:
            Refused: It is shorter than that, or another process writes to it.
        """
        self._file = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Refused(f"another process writes {path}: wait for it to end") from error
        if path.stat().st_size < length:
            self._file.close()
            raise Refused(f"{path} is shorter than its journal says: say --overwrite to begin anew")
        if cut:
            self._file.truncate(length)
        self.length = length

    def write(self, data: bytes) -> None:
        """Add to the end."""
        self._file.write(data)
        self.length += len(data)

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and with it the lock."""
        self._file.close()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
