"""A folder of pictures, and pictures through a detector or a classifier."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foresail_runtime import errors
from foresail_runtime.offline import model as models
from foresail_runtime.offline.chunks import Chunk, Column, Field, Ran, Refused, Scored, spread
from foresail_runtime.tasks import classification, detection
from foresail_runtime.tensors import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from foresail_runtime.offline.model import Model

SUFFIXES: Final = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif")
CHUNK_PICTURES: Final = 32
"""So many are decoded at once, as far as there are cores, and held in the size that the model takes."""
MAX_BYTES: Final = 256 * 2**20
FILE: Final = "file"


class PictureSource:
    """Every picture in a folder and those below it, in the order of their paths."""

    names = known = (FILE,)

    def __init__(self, folder: Path, chunk_rows: int = CHUNK_PICTURES) -> None:
        """List the folder.

        Raises:
            Refused: It holds no picture.
        """
        self._chunk_rows = chunk_rows
        self._paths = sorted(_walk(folder, ""))
        if not self._paths:
            raise Refused(f"{folder} holds no picture: {', '.join(SUFFIXES)} are taken")
        self.rows = len(self._paths)
        known = hashlib.sha256()
        for path in self._paths:
            status = (folder / path).stat()
            known.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
        self.identity = known.hexdigest()

    def portion(self, position: int) -> float:
        """Return which part of the pictures lies before a position."""
        return position / self.rows

    def chunks(self, position: int, first: int, wanted: Mapping[str, Callable[[str], Any] | None]) -> Iterator[Chunk]:
        """Yield the paths from a position on; see `Source`."""
        del first, wanted
        for start in range(position, self.rows, self._chunk_rows):
            paths = self._paths[start : start + self._chunk_rows]
            yield Chunk(start, len(paths), {FILE: list(paths)}, {}, start + len(paths))


def _walk(folder: Path, inside: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{inside}{entry.name}/")
            elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                yield f"{inside}{entry.name}"


class PicturesJob:
    """Answers for each picture what the server would; `query` are its options."""

    def __init__(
        self,
        model: Model,
        task: detection.Detector | classification.Classifier,
        folder: Path,
        query: Mapping[str, str],
        *,
        max_pixels: int,
        threads: int,
    ) -> None:
        """Read the options.

        Raises:
            InvalidRequest: One makes no sense.
        """
        self._model = model
        self._task = task
        self._folder = folder
        self._max_pixels = max_pixels
        self._options: Any = task.read_options(query)
        self._workers = ThreadPoolExecutor(threads, "picture")
        self.outputs: Final[tuple[str, ...]] = task.outputs
        self._answer_name = "detections" if isinstance(task, detection.Detector) else "classes"
        self.fields: Final = (
            Field(FILE, "text"),
            Field("width", "INT64"),
            Field("height", "INT64"),
            Field(self._answer_name, _kind(task)),
        )
        self.wanted: Final[Mapping[str, Callable[[str], Any] | None]] = {FILE: None}

    def score(self, chunk: Chunk) -> Scored:
        """Return the answers for the pictures."""
        faults: dict[int, str] = {}
        answers: dict[int, Any] = {}
        ready = self._ready(chunk, faults)
        for ran in self._run(ready, faults):
            for place, index in enumerate(ran.rows):
                own = slice(place, place + 1) if self._task.a_row_a_picture else slice(None)
                try:
                    answers[index] = self._answer(ready[index], [array[own] for array in ran.outputs])
                except errors.ForesailError as error:
                    faults[index] = error.message
        rows = sorted(answers)
        sizes = [answers[index]["image"] for index in rows]
        columns: dict[str, Column] = {
            FILE: chunk.columns[FILE],
            "width": spread([size["width"] for size in sizes], rows, chunk.count),
            "height": spread([size["height"] for size in sizes], rows, chunk.count),
            self._answer_name: spread([answers[index][self._answer_name] for index in rows], rows, chunk.count),
        }
        return Scored(columns, dict(sorted(faults.items())))

    def run(self, chunk: Chunk, faults: dict[int, str]) -> Iterator[Ran]:
        """Yield what ran, and write down why other pictures did not."""
        yield from self._run(self._ready(chunk, faults), faults)

    def _ready(self, chunk: Chunk, faults: dict[int, str]) -> dict[int, Any]:
        """Return the pictures that can be read, by their index."""
        found = list(self._workers.map(self._prepare, chunk.columns[FILE]))
        faults.update({index: one for index, one in enumerate(found) if isinstance(one, str)})
        return {index: one for index, one in enumerate(found) if not isinstance(one, str)}

    def _run(self, ready: dict[int, Any], faults: dict[int, str]) -> Iterator[Ran]:
        if not ready:
            return
        if not self._task.a_row_a_picture:
            yield from self._run_apart(ready, faults)
            return
        rows = list(ready)
        arrays = [prepared.inputs[0].array for prepared in ready.values()]
        tensor = ready[rows[0]].inputs[0]._replace(array=np.concatenate(arrays))
        pieces, failed = self._model.run((tensor,), self.outputs)
        faults.update({rows[place]: message for place, message in failed.items()})
        kept = [place for place in range(len(rows)) if place not in failed]
        if kept:
            outputs = [models.join(piece) for piece in pieces]
            yield Ran([rows[place] for place in kept], [tensor.array[kept]], outputs)

    def _run_apart(self, ready: dict[int, Any], faults: dict[int, str]) -> Iterator[Ran]:
        """Yield picture by picture, each with all that came out of its run."""
        for index, prepared in ready.items():
            array = prepared.inputs[0].array
            try:
                found = self._model.engine.run({prepared.inputs[0].name: array}, self.outputs)
            except errors.ForesailError as error:
                faults[index] = error.message
            else:
                yield Ran([index], [array], found)

    def _answer(self, prepared: Any, outputs: list[Any]) -> dict[str, Any]:
        specs = [spec for name in self.outputs if (spec := self._model.signature.output(name)) is not None]
        named = [
            Tensor(spec.name, spec.datatype, np.asarray(array)) for spec, array in zip(specs, outputs, strict=True)
        ]
        return self._task.answer(prepared, named, self._options)

    def _prepare(self, path: str) -> Any:
        """Return a picture as the model's input, or the sentence that says why it is none."""
        file = self._folder / path
        try:
            if file.stat().st_size > MAX_BYTES:
                return f"the file has {file.stat().st_size} bytes, at most {MAX_BYTES} are read"
            return self._task.prepare(file.read_bytes(), max_pixels=self._max_pixels)
        except OSError as error:
            return f"the file can't be read: {error.strerror}"
        except (errors.InvalidRequest, errors.TooLarge) as error:
            return error.message


def _kind(task: detection.Detector | classification.Classifier) -> str:
    if isinstance(task, classification.Classifier):
        return "classes"
    match task.part:
        case "mask":
            return "masks"
        case "keypoints":
            return "keypoints"
        case _:
            return "detections"
