"""A run that is killed goes on where it was: the same bytes as an undisturbed one, no row twice, none left out."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foresail_runtime.offline import journal

if TYPE_CHECKING:
    from collections.abc import Callable

    Foresail = Callable[..., int]

# The command with a clock that makes every chunk a checkpoint but each third, and an end by SIGKILL in chunk KILL.
PROGRAM = """
import itertools, os, signal, sys, time
from foresail_runtime import __main__ as cli
from foresail_runtime.offline import chunks, parquet, rows, text
kill, fine = int(sys.argv[1]), itertools.count()
for source in (text.CsvSource, text.JsonLinesSource, parquet.ParquetSource):
    source.__init__.__defaults__ = (7,)
time.monotonic = lambda: next(fine) * 0.7
seen, score = itertools.count(), rows.RowsJob.score
def counted(self, chunk):
    if next(seen) == kill:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(self, chunk)
rows.RowsJob.score = counted
cli.main(["batch", *sys.argv[2:]])
"""


def batch(kill: int, *arguments: object) -> int:
    command = [sys.executable, "-c", PROGRAM, str(kill), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


def write(path: pathlib.Path) -> pathlib.Path:
    rows = [{"place": 9 if row % 10 == 3 else row % 2, "id": row} for row in range(100)]
    match path.suffix:
        case ".csv":
            path.write_text("place,id\n" + "".join(f'{row["place"]},"{row["id"]}\n"\n' for row in rows))
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case _:
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=23)
    return path


@pytest.mark.parametrize(("source", "target"), [("csv", "csv"), ("jsonl", "parquet"), ("parquet", "jsonl")])
def test_a_run_killed_twice_ends_as_if_it_was_not(
    lookup: pathlib.Path, tmp_path: pathlib.Path, source: str, target: str
) -> None:
    given = write(tmp_path / f"in.{source}")
    whole, killed = tmp_path / f"whole.{target}", tmp_path / f"killed.{target}"
    assert batch(-1, lookup, given, whole, "--keep", "id") == 3
    for kill in (5, 6):
        assert batch(kill, lookup, given, killed, "--keep", "id") == -signal.SIGKILL
        assert not killed.exists()
        done = json.loads(pathlib.Path(f"{killed}.resume.json").read_text())["progress"]["rows"]
        assert 0 < done < 100
    assert batch(-1, lookup, given, killed, "--keep", "id") == 3
    assert killed.read_bytes() == whole.read_bytes()
    errors = [pathlib.Path(f"{path}.errors.jsonl").read_text() for path in (whole, killed)]
    assert errors[0] == errors[1]
    assert [json.loads(line)["row"] for line in errors[0].splitlines()] == list(range(3, 100, 10))
    assert sorted(path.name for path in tmp_path.glob("killed*")) == [
        f"killed.{target}",
        f"killed.{target}.errors.jsonl",
    ]


def test_what_another_run_left_is_not_gone_on_with(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    assert batch(5, lookup, given, output) == -signal.SIGKILL
    assert foresail("batch", lookup, given, output, "--keep", "id") == 1
    assert "is of a run with another set of options: say --overwrite" in capsys.readouterr().err
    given.write_text("place\n1\n")
    assert foresail("batch", lookup, given, output) == 1
    assert "is of a run with another input" in capsys.readouterr().err
    assert foresail("batch", lookup, given, output, "--overwrite") == 0
    assert output.read_text() == "value\n20.0\n"


def test_a_kill_between_the_output_s_name_and_the_journal_s_end_costs_nothing(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, output = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_text("place\n1\n9\n")
    with monkeypatch.context() as patched:
        patched.setattr(journal.Files, "end", lambda _files, _faults: None)
        assert foresail("batch", lookup, given, output) == 3
    assert (tmp_path / "out.csv.resume.json").exists()
    assert foresail("batch", lookup, given, output) == 3
    assert output.read_text() == 'value\n20.0\n""\n'
    assert not (tmp_path / "out.csv.resume.json").exists()
    assert not (tmp_path / "out.csv.partial").exists()


def test_a_journal_that_can_t_be_read_is_told(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    (tmp_path / "out.csv.resume.json").write_text("{")
    assert foresail("batch", lookup, given, output) == 1
    assert "can't be read: delete it, or say --overwrite, to begin anew" in capsys.readouterr().err


def test_two_runs_do_not_write_one_output(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    other = journal.Appender(tmp_path / "out.csv.partial", 0)
    assert foresail("batch", lookup, given, output) == 1
    other.close()
    assert "another process writes" in capsys.readouterr().err
    assert foresail("batch", lookup, given, output) == 3
