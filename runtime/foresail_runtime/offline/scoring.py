"""One run over an input: read a chunk, score it, write it, and note from time to time how far it is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime.offline import journal, pictures
from foresail_runtime.offline.chunks import AS_IT_IS, Chunk, pick, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from foresail_runtime.offline.chunks import Job, Source
    from foresail_runtime.offline.journal import Files, Progress
    from foresail_runtime.offline.progress import Bar
    from foresail_runtime.offline.results import Format


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Everything of one run that does not change."""

    source: Source
    job: Job
    kept: tuple[str, ...]
    """Columns of the input that are copied to the output."""
    format: Format
    files: Files
    identity: Mapping[str, str]
    """What has to be the same for a run to go on."""

    def wanted(self) -> dict[str, Callable[[str], Any] | None]:
        """Return the columns to read; one that is kept comes as it is, whatever the model makes of it."""
        return {**dict.fromkeys(map(self.place, self.kept)), **self.job.wanted}

    def place(self, kept: str) -> str:
        """Return the name under which a kept column is read."""
        return kept + AS_IT_IS if kept in self.job.wanted else kept


def run(work: Run, progress: Progress, bar: Bar, clock: Callable[[], float]) -> Progress:
    """Score what is left of the input and return how it ended; what is done is noted however it ends."""
    if work.files.partial.exists() or not (progress.read_all and work.files.target.exists()):
        if not progress.read_all:
            progress = _Writer(work, progress, bar, clock).run()
        work.format.finish(work.files.partial, work.files.target)
    work.files.end(progress.faults)
    return progress


class _Writer:
    def __init__(self, work: Run, progress: Progress, bar: Bar, clock: Callable[[], float]) -> None:
        self._work: Final = work
        self._progress = progress
        self._bar = bar
        self._clock = clock
        self._noted = clock()

    def run(self) -> Progress:
        with contextlib.ExitStack() as stack:
            files = self._work.files
            output = journal.Appender(files.partial, self._progress.output_bytes)
            stack.callback(output.close)
            errors = journal.Appender(files.errors, self._progress.error_bytes)
            stack.callback(errors.close)
            if not output.length:
                output.write(self._work.format.head())
            for chunk in self._chunks():
                self._write(chunk, output, errors)
                if self._clock() - self._noted >= journal.CHECKPOINT_SECONDS:
                    self._note(output, errors)
            self._progress = dataclasses.replace(self._progress, read_all=True)
            self._note(output, errors)
        return self._progress

    def _chunks(self) -> Iterator[Chunk]:
        """Yield the chunks, each read while the one before is scored."""
        progress = self._progress
        chunks = self._work.source.chunks(progress.position, progress.rows, self._work.wanted())
        with ThreadPoolExecutor(1, "reader") as reader:
            coming = reader.submit(next, chunks, None)
            while (chunk := coming.result()) is not None:
                coming = reader.submit(next, chunks, None)
                yield chunk

    def _write(self, chunk: Chunk, output: journal.Appender, errors: journal.Appender) -> None:
        scored = self._work.job.score(chunk)
        spoiled = self._work.format.check(scored)
        faults = dict(sorted({**spoiled, **scored.faults}.items()))
        columns = {**{name: chunk.columns[self._work.place(name)] for name in self._work.kept}, **scored.columns}
        if spoiled:
            rows = [row for row in range(chunk.count) if row not in faults]
            columns.update(
                {name: spread(pick(scored.columns[name], rows), rows, chunk.count) for name in scored.columns}
            )
        output.write(self._work.format.encode(columns, chunk.count))
        errors.write(b"".join(_error_line(chunk, row, message) for row, message in faults.items()))
        before = self._progress
        self._progress = dataclasses.replace(
            before,
            rows=chunk.first + chunk.count,
            faults=before.faults + len(faults),
            position=chunk.position,
            output_bytes=output.length,
            error_bytes=errors.length,
        )
        self._bar.update(self._progress.rows, self._work.source.portion(chunk.position), self._progress.faults)

    def _note(self, output: journal.Appender, errors: journal.Appender) -> None:
        output.sync()
        errors.sync()
        self._work.files.save(self._work.identity, self._progress)
        self._noted = self._clock()


def _error_line(chunk: Chunk, row: int, message: str) -> bytes:
    line: dict[str, object] = {"row": chunk.first + row}
    if pictures.FILE in chunk.columns:
        line["file"] = chunk.columns[pictures.FILE][row]
    return json.dumps({**line, "error": message}).encode() + b"\n"
