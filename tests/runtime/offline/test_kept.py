"""What `foresail batch` and `foresail reference` must leave as it is: the user's own columns and files."""

from __future__ import annotations

import csv
import fcntl
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    Lines = Callable[[pathlib.Path], list[dict[str, Any]]]
    Foresail = Callable[..., int]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_column_that_is_kept_and_read_comes_out_as_it_stood(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, ending: str
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("place\n00\nn/a\n1\n")
    assert foresail("batch", lookup, given, tmp_path / f"out.{ending}", "--keep", "place,place") == 3
    text = (tmp_path / f"out.{ending}").read_text()
    if ending == "csv":
        assert text == "place,value\n00,10.0\nn/a,\n1,20.0\n"
    else:
        assert [json.loads(line)["place"] for line in text.splitlines()] == ["00", "n/a", "1"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_column_of_other_sources_is_kept_and_read(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, suffix: str
) -> None:
    given = tmp_path / f"in{suffix}"
    if suffix == ".jsonl":
        given.write_text('{"place": 0}\n{"place": 1}\n')
    else:
        pq.write_table(pa.table({"place": [0, 1]}), given)
    assert foresail("batch", lookup, given, tmp_path / "out.jsonl", "--keep", "*") == 0
    assert lines(tmp_path / "out.jsonl") == [{"place": 0, "value": 10.0}, {"place": 1, "value": 20.0}]


def test_a_kept_column_of_an_output_s_name_is_refused(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("place,value\n0,77\n")
    assert foresail("batch", lookup, given, tmp_path / "out.csv", "--keep", "*") == 1
    assert "both have a column 'value'" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("target", ["in.csv", "lookup.onnx"])
def test_neither_input_nor_model_is_written_over(
    foresail: Foresail,
    lookup: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("place\n0\n")
    before = (tmp_path / target).read_bytes()
    assert foresail("batch", lookup, given, tmp_path / target, "--overwrite") == 1
    assert foresail("reference", lookup, given, tmp_path / target) == 1
    assert capsys.readouterr().err.count("name another output") == 2
    assert (tmp_path / target).read_bytes() == before


def test_a_reference_takes_no_other_file_s_place(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, target = tmp_path / "in.csv", tmp_path / "reference.json"
    given.write_text("place\n" + "0\n1\n" * 50)
    target.write_text("{}")
    assert foresail("reference", lookup, given, target) == 1
    assert "is no reference" in capsys.readouterr().err
    target.unlink()
    assert foresail("reference", lookup, given, target) == 0
    assert foresail("reference", lookup, given, target) == 0, "one that is there is made anew"
    assert foresail("reference", lookup, given, tmp_path / "none" / "r.json") == 1


def test_overwriting_waits_for_a_run_that_is_at_work(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, partial = tmp_path / "in.csv", tmp_path / "out.csv.partial"
    given.write_text("place\n0\n")
    with partial.open("ab") as file:
        file.write(b"value\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        assert foresail("batch", lookup, given, tmp_path / "out.csv", "--overwrite") == 1
        assert "another process writes" in capsys.readouterr().err
        assert partial.read_bytes() == b"value\n"
    assert foresail("batch", lookup, given, tmp_path / "out.csv", "--overwrite") == 0
    assert (tmp_path / "out.csv").read_text() == "value\n10.0\n"


def test_text_that_ends_a_line_by_itself_is_quoted(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given = tmp_path / "in.csv"
    given.write_bytes(b'place,note\n0,"x\ry"\n1,"a ""b"", c\r\nd"\n')
    assert foresail("batch", lookup, given, tmp_path / "out.csv", "--keep", "note") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["x\ry", "10.0"], ['a "b", c\r\nd', "20.0"]]


def test_a_quote_that_is_not_closed_is_an_error(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    given = tmp_path / "in.csv"
    given.write_text('place,note\n0,a\n1,"x\n0,b\n')
    assert foresail("batch", lookup, given, tmp_path / "out.csv") == 3
    (fault,) = lines(tmp_path / "out.csv.errors.jsonl")
    assert (fault["row"], "is no CSV" in fault["error"]) == (1, True)


@pytest.mark.parametrize(("ending", "expected"), [("csv", b"\xe9a"), ("jsonl", "\ufffda".encode()), ("parquet", None)])
def test_text_that_is_no_utf_8_ends_no_run(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, ending: str, expected: bytes | None
) -> None:
    given, target = tmp_path / "in.csv", tmp_path / f"out.{ending}"
    given.write_bytes(b"place,caf\xe9\n0,\xe9a\n1,b\n")
    assert foresail("batch", lookup, given, target, "--keep", "*") == 0
    if expected is None:
        assert pq.read_table(target)["caf\ufffd"].to_pylist() == ["\ufffda", "b"]
    else:
        assert expected in target.read_bytes()


def test_a_text_of_the_model_that_is_no_utf_8_fails_alone(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    given = tmp_path / "in.csv"
    given.write_bytes(b"age,name\n1,\xe9\n2,b\n")
    assert foresail("batch", two_columns, given, tmp_path / "out.jsonl") == 3
    assert [row["who"] for row in lines(tmp_path / "out.jsonl")] == [None, "b"]


def test_lines_that_end_in_cr_alone_are_refused_in_words(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in.csv"
    given.write_bytes(b"place\r0\r1\r")
    assert foresail("batch", lookup, given, tmp_path / "out.csv") == 1
    assert "lines end in LF or CR LF" in capsys.readouterr().err


def test_parquet_of_categories_and_nanoseconds_is_kept(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    when = pa.array([1_700_000_000_000_000_001, 2], pa.timestamp("ns"))
    kind = pa.array(["a", "b"]).dictionary_encode()
    pq.write_table(pa.table({"place": [0, 1], "kind": kind, "when": when}), given)
    assert foresail("batch", lookup, given, target, "--keep", "kind,when") == 0
    found = pq.read_table(target)
    assert found["kind"].to_pylist() == ["a", "b"]
    assert found["when"].cast(pa.int64()).to_pylist() == [1_700_000_000_000_000, 0]
    assert foresail("batch", lookup, given, tmp_path / "out.csv", "--keep", "kind,when") == 0
