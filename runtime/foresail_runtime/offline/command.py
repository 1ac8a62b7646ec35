"""`foresail batch MODEL INPUT OUTPUT`: what it takes on the command line, and what it makes of it."""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import contract, errors, settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from foresail_runtime.offline.chunks import Job, Source
    from foresail_runtime.offline.model import Model

EXIT_FAILED: Final = 1
EXIT_SOME_ROWS: Final = 3
"""Everything was read, and some rows have errors instead of answers."""
_PICTURE_OPTIONS: Final = ("confidence", "iou", "top_k", "classes")


def add(commands: Any) -> None:  # argparse names the type of its subparsers privately
    """Add the commands to the parser."""
    _add_batch(commands)
    _add_reference(commands)


def _add_batch(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "batch",
        help="score a file, or a folder of pictures",
        description="Run a model over every row of a Parquet, CSV or JSON lines file, or every picture of a folder. "
        "A run that was stopped goes on where it was when it is started again. Rows that can't be scored are in "
        f"OUTPUT.errors.jsonl, and the exit status is {EXIT_SOME_ROWS}.",
    )
    parser.add_argument("model", metavar="MODEL", help="a .onnx file, a folder with one, or an http(s) address")
    parser.add_argument("input", metavar="INPUT", type=Path, help="a .parquet, .csv or .jsonl file, or a folder")
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="a .parquet, .csv or .jsonl file to write")
    parser.add_argument("--keep", metavar="A,B", help="columns of the input to copy to the output; *: all of them")
    parser.add_argument("--overwrite", action="store_true", help="begin anew, whatever is there")
    _add_common(parser)
    for name, text in (
        ("--confidence", "least confidence of a box or class, 0 to 1"),
        ("--iou", "overlap over which boxes of a class are one, 0 to 1"),
        ("--top-k", "most boxes or classes of a picture"),
        ("--classes", "only these, by name or number"),
    ):
        parser.add_argument(name, help=text)
    parser.set_defaults(run=functools.partial(run, _batch))


def _add_reference(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "reference",
        help="learn what a model's rows look like, to tell later when they drift",
        description="Run a model over a sample of its data and write how its inputs and outputs are distributed. "
        "A server that is given the file compares what it is asked for with it.",
    )
    parser.add_argument("model", metavar="MODEL", help="a .onnx file, a folder with one, or an http(s) address")
    parser.add_argument("input", metavar="DATA", type=Path, help="a .parquet, .csv or .jsonl file, or a folder")
    parser.add_argument("output", metavar="OUT.json", type=Path, help="the file to write")
    _add_common(parser)
    parser.add_argument("--rows", type=_count(10**7), default=50_000, help="size of the sample (50000)")
    parser.add_argument("--bins", type=_count(100), default=10, help="bins of a feature's numbers (10)")
    parser.set_defaults(run=functools.partial(run, _reference), **dict.fromkeys(_PICTURE_OPTIONS))


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--columns", metavar="A,B", help="the input's columns to use, in the model's order")
    parser.add_argument("--threads", type=_count(1024), help="cores to use (all there are)")
    parser.add_argument("--task", default="auto", help="what pictures are for: image-classification, object-detection")


def _count(most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:  # argparse shows this name where the value is none
        number = int(text)
        if not 1 <= number <= most:
            raise ValueError(text)
        return number

    whole.__name__ = f"number from 1 to {most}"
    return whole


class _Stopped(Exception):  # noqa: N818  # somebody wanted it so
    """A signal asked to end."""


def run(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command and return its exit code; mistakes are told on stderr."""
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415

    warnings.filterwarnings("ignore", module=r"PIL\.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        return command(options)
    except (Refused, errors.ForesailError) as error:
        _say(str(error))
        return EXIT_FAILED
    except _Stopped as stop:
        _say("stopped; what was begun goes on when the same command is given again")
        return 128 + int(stop.args[0])


def _say(text: str) -> None:
    sys.stderr.write(f"foresail: {text}\n")


def _stop(number: int, _frame: object) -> None:
    raise _Stopped(number)


def _batch(options: argparse.Namespace) -> int:
    from foresail_runtime.offline import journal, progress, results, scoring  # noqa: PLC0415

    source = open_source(options.input)
    files = journal.Files(options.output)
    _check_apart(options, files.all)
    model = open_model(options.model, options.threads)
    job = choose_job(model, source, options)
    kept = _kept(options.keep, source)
    _check_names(kept, job)
    output = results.choose(options.output, (*_kept_fields(kept), *job.fields), source)
    identity = {
        "model": model.digest,
        "input": source.identity,
        "output format": options.output.suffix,
        "set of options": repr([kept, options.columns, options.task, sorted(_query(options).items())]),
        "version of foresail": f"{model.run_rows} rows a run, journal 1",
    }
    begun = files.begin(identity, overwrite=options.overwrite)
    if begun.rows:
        _say(f"{begun.rows:,} rows are done already, going on from there")
    bar = progress.Bar(sys.stderr, time.monotonic, rows=begun.rows, portion=source.portion(begun.position))
    done = scoring.run(scoring.Run(source, job, kept, output, files, identity), begun, bar, time.monotonic)
    bar.end(done.rows, done.faults, str(options.output))
    if done.faults:
        _say(f"rows without an answer: {done.faults:,}; why, is in {files.errors}")
    return EXIT_SOME_ROWS if done.faults else 0


def _reference(options: argparse.Namespace) -> int:
    from foresail_runtime.offline import learning, progress  # noqa: PLC0415

    source = open_source(options.input)
    _check_apart(options, (options.output,))
    learning.check_target(options.output)
    model = open_model(options.model, options.threads)
    job = choose_job(model, source, options)
    bar = progress.Bar(sys.stderr, time.monotonic)
    found = learning.learn(model, source, job, (options.rows, options.bins), bar)
    learning.write(found, options.output)
    return 0


def open_source(path: Path) -> Source:
    """Return the input that a path names.

    Raises:
        Refused: There is none, or it is of a kind that is not read.
    """
    from foresail_runtime.offline import pictures, text  # noqa: PLC0415
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415

    if not path.exists():
        raise Refused(f"there is no {path}")
    if path.is_dir():
        return pictures.PictureSource(path)
    match path.suffix.lower():
        case ".csv":
            return text.CsvSource(path)
        case ".jsonl" | ".ndjson":
            return text.JsonLinesSource(path)
        case ".parquet":
            _check_parquet()
            from foresail_runtime.offline import parquet  # noqa: PLC0415

            return parquet.ParquetSource(path)
        case suffix:
            raise Refused(
                f"{path} ends in {suffix or 'nothing'!r}: .parquet, .csv, .jsonl and folders of pictures are read"
            )


def _check_parquet() -> None:
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415

    try:
        import pyarrow as pa  # noqa: PLC0415, F401
    except ImportError as error:
        raise Refused("Parquet needs pyarrow, which is not here: pip install 'foresail[batch]'") from error


def open_model(name: str, threads: int | None) -> Model:
    """Return the model that the command line names; raises as `model.open_model` does."""
    from foresail_runtime.offline import model  # noqa: PLC0415

    environment = dict(os.environ)
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    environment.setdefault("FORESAIL_DOWNLOAD_FOLDER", str(Path(base) / "foresail" / "models"))
    remote = name.startswith(("http://", "https://"))
    path = None if remote else str(Path(name).resolve())
    description = contract.ModelDescription(name="batch", uri=name if remote else f"file://{path}", path=path)
    chosen = settings.read(environment)
    return model.open_model(description, Path(chosen.download_folder), threads or chosen.threads)


def choose_job(model: Model, source: Source, options: argparse.Namespace) -> Job:
    """Return what is done with the input's rows.

    Raises:
        Refused: The model does not fit the input.
    """
    from foresail_runtime.engine import cores, warmup  # noqa: PLC0415
    from foresail_runtime.offline import pictures, rows  # noqa: PLC0415
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415
    from foresail_runtime.tasks import fit  # noqa: PLC0415

    query = _query(options)
    columns = _listed(options.columns)
    if not isinstance(source, pictures.PictureSource):
        if unfit := [*query, *(["task"] if options.task != "auto" else [])]:
            raise Refused(f"the options {', '.join(unfit)} are for pictures, and {options.input} has none")
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise Refused(f"--columns names {twice!r} twice: each column is one feature of the model")
        return rows.RowsJob(model, source.names, columns, source.known)
    if columns:
        raise Refused(f"--columns is for rows, and {options.input} has pictures: take it away")
    task = fit.find(options.task, model.signature, model.path.parent).picture
    if task is not None and (trial := task.trial()) is not None:
        task = fit.find(options.task, warmup.shown(model.engine, trial), model.path.parent).picture
    if task is None:
        raise Refused(f"{options.model} takes no pictures: give it a file of rows, or say its --task")
    max_pixels = settings.read(dict(os.environ)).max_pixels
    return pictures.PicturesJob(
        model, task, options.input, query, max_pixels=max_pixels, threads=options.threads or cores.available()
    )


def _query(options: argparse.Namespace) -> Mapping[str, str]:
    return {name: value for name in _PICTURE_OPTIONS if (value := getattr(options, name)) is not None}


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _kept(text: str | None, source: Source) -> tuple[str, ...]:
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415

    kept = source.names if text == "*" else _listed(text)
    missing = [name for name in kept if name not in source.known]
    if missing:
        raise Refused(f"--keep names {', '.join(map(repr, missing))}: the input has {', '.join(source.names[:20])}")
    return tuple(dict.fromkeys(kept))


def _check_apart(options: argparse.Namespace, written: Sequence[Path]) -> None:
    """Refuse to write over what is read.

    Raises:
        Refused: The input or the model is among the files that are written.
    """
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415

    for what, path in (("input", options.input), ("model", Path(options.model))):
        if path.exists() and any(one.exists() and one.samefile(path) for one in written):
            raise Refused(f"{options.output} would be written over the {what} {path}: name another output")


def _check_names(kept: tuple[str, ...], job: Job) -> None:
    from foresail_runtime.offline.chunks import Refused  # noqa: PLC0415

    made = [field.name for field in job.fields]
    twice = [name for name in kept if name in made]
    if twice:
        raise Refused(
            f"the input and what the model gives both have a column {twice[0]!r}: leave it out of --keep, or give it "
            "another name in the input"
        )


def _kept_fields(kept: tuple[str, ...]) -> list[Any]:
    from foresail_runtime.offline.chunks import Field  # noqa: PLC0415

    return [Field(name, "kept") for name in kept]
