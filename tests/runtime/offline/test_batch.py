"""`foresail batch` over tables: every format in and out, and every mistake a row can have."""

from __future__ import annotations

import csv
import decimal
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runtime.engine.test_maps import zipped

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    Lines = Callable[[pathlib.Path], list[dict[str, Any]]]
    Foresail = Callable[..., int]

COLUMNS = [f"c{index}" for index in range(9)]


@pytest.fixture
def table() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(-1, 2, (100, 9)).astype(np.float32)


def write(path: pathlib.Path, table: np.ndarray[Any, Any]) -> pathlib.Path:
    match path.suffix:
        case ".csv":
            with path.open("w", newline="") as file:
                csv.writer(file).writerow(["id", *COLUMNS])
                csv.writer(file).writerows([index, *row] for index, row in enumerate(table.tolist()))
        case ".jsonl":
            rows = [{"id": index, **dict(zip(COLUMNS, row, strict=True))} for index, row in enumerate(table.tolist())]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case _:
            columns = {"id": np.arange(len(table)), **{name: table[:, i] for i, name in enumerate(COLUMNS)}}
            pq.write_table(pa.table(columns), path, row_group_size=17)
    return path


def read(path: pathlib.Path) -> list[tuple[Any, ...]]:
    """Rows as id, label, probabilities."""
    match path.suffix:
        case ".csv":
            with path.open(newline="") as file:
                return [
                    (int(row[0]), int(row[1]), [float(row[2]), float(row[3])]) for row in list(csv.reader(file))[1:]
                ]
        case ".jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
        case _:
            rows = pq.read_table(path).to_pylist()
    return [(int(row["id"]), row["label"], row["probabilities"]) for row in rows]


@pytest.mark.parametrize("target", ["out.csv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("source", ["in.csv", "in.jsonl", "in.parquet"])
def test_every_format_gives_what_the_model_gives(
    *, foresail: Foresail, logreg: pathlib.Path, table: Any, tmp_path: pathlib.Path, source: str, target: str
) -> None:
    output = tmp_path / target
    given = write(tmp_path / source, table)
    assert foresail("batch", logreg, given, output, "--columns", ",".join(COLUMNS), "--keep", "id") == 0
    labels, probabilities = onnxruntime.InferenceSession(logreg).run(None, {"X": table})
    found = read(output)
    assert [row[0] for row in found] == list(range(100))
    assert [row[1] for row in found] == labels.tolist()
    np.testing.assert_allclose([row[2] for row in found], probabilities, rtol=1e-5)
    assert sorted(path.name for path in tmp_path.glob("out*")) == [target]


def test_rows_that_can_t_be_scored_fail_alone_and_are_told_with_their_number(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("place,note\n0,a\n1.5,b\n7,c\n1\n2,e\n1,f\n")
    output = tmp_path / "out.csv"
    assert foresail("batch", lookup, given, output, "--keep", "note") == 3
    assert output.read_text() == "note,value\na,10.0\nb,\nc,\n,\ne,nan\nf,20.0\n"
    found = lines(tmp_path / "out.csv.errors.jsonl")
    assert [line["row"] for line in found] == [1, 2, 3]
    assert found[0]["error"] == "column 'place': '1.5' is no whole number"
    assert "out of data bounds" in found[1]["error"]
    assert found[2]["error"] == "has 1 values, the first line names 2 columns"
    assert "rows without an answer: 3; why, is in" in capsys.readouterr().err


def test_scores_in_maps_are_a_column_a_class_in_csv(foresail: Foresail, tmp_path: pathlib.Path, lines: Lines) -> None:
    model, given = zipped(tmp_path / "m.onnx", ["sound", "fraud", "odd"]), tmp_path / "in.csv"
    given.write_text("a,b,c\n0.5,0.25,0.125\n")
    assert foresail("batch", model, given, tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == "scores.fraud,scores.odd,scores.sound\n0.25,0.125,0.5\n"
    assert foresail("batch", model, given, tmp_path / "out.jsonl") == 0
    assert lines(tmp_path / "out.jsonl") == [{"scores": [0.25, 0.125, 0.5]}]


def test_what_json_can_t_carry_is_an_error_of_its_row(
    foresail: Foresail, lookup: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text('{"place": 2}\n\n{"place": 1}\n{"place": NaN}\n[1]\n{}\n{"place": null}\n{"place": true}\n')
    assert foresail("batch", lookup, given, tmp_path / "out.jsonl") == 3
    assert [row["value"] for row in lines(tmp_path / "out.jsonl")] == [None, 20.0, None, None, None, None, None]
    found = {line["row"]: line["error"] for line in lines(tmp_path / "out.jsonl.errors.jsonl")}
    assert found[0] == "output 'value' holds NaN or infinity, which JSON can't carry: write CSV or Parquet"
    assert found[2].startswith("is not JSON: ")
    assert found[2].endswith("; JSON has no NaN and no infinity: null is a missing number")
    assert found[3] == "is not an object, as the first is"
    assert found[4] == "lacks 'place'"
    assert found[5] == "column 'place': a value is missing, and INT64 has none for that: fill it in"
    assert found[6] == "column 'place': True is no value for INT64"


def test_lists_in_cells_and_bad_rows_between_them_are_kept_apart(
    foresail: Foresail, matrix: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    given = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": [[[1.0, 2.0], [3.0, 4.0]], None, [[1.0, 2.0], [3.0, math.nan]]]}), given)
    assert foresail("batch", matrix, given, tmp_path / "out.csv") == 3
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ['"[[1.0,2.0],[3.0,4.0]]"', '""', '""']
    assert [line["row"] for line in lines(tmp_path / "out.csv.errors.jsonl")] == [1, 2]
    assert foresail("batch", matrix, given, tmp_path / "out.parquet") == 3
    found = [row["y"] for row in pq.read_table(tmp_path / "out.parquet").to_pylist()]
    assert found[:2] == [[[1.0, 2.0], [3.0, 4.0]], None]
    assert np.isnan(found[2][1][1])


def test_columns_are_found_by_name_in_any_order_and_text_stays_text(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    given = tmp_path / "in.csv"
    given.write_text('\ufeffname,other,age\n"Ünal, A.",1,41\n"two\nlines",2,\n', encoding="utf-8")
    assert foresail("batch", two_columns, given, tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == 'years,who\n41.0,"Ünal, A."\nnan,"two\nlines"\n'


def test_a_null_is_a_missing_number_in_parquet_too(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given = tmp_path / "in.parquet"
    pq.write_table(pa.table({"age": [1, None, 3], "name": ["a", "b", None]}), given)
    assert foresail("batch", two_columns, given, tmp_path / "out.parquet", "--keep", "*") == 3
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert found[0] == {"age": 1, "name": "a", "years": 1.0, "who": "a"}
    assert np.isnan(found[1]["years"])
    assert found[2] == {"age": 3, "name": None, "years": None, "who": None}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_number_too_large_for_its_column_is_an_error_of_its_row(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, suffix: str
) -> None:
    given = tmp_path / f"in.{suffix}"
    match suffix:
        case "csv":
            given.write_text("age,name\n1.5,a\n1e39,b\n")
        case "jsonl":
            given.write_text('{"age": 1.5, "name": "a"}\n{"age": 1e39, "name": "b"}\n')
        case _:
            pq.write_table(pa.table({"age": [1.5, 1e39], "name": ["a", "b"]}), given)
    assert foresail("batch", two_columns, given, tmp_path / "out.jsonl") == 3
    assert [row["years"] for row in lines(tmp_path / "out.jsonl")] == [1.5, None]
    (found,) = lines(tmp_path / "out.jsonl.errors.jsonl")
    assert found["row"] == 1
    assert found["error"] == "column 'age': 1e+39 is out of the range of FP32"


def test_a_number_that_no_datatype_holds_is_too_large_and_infinity_is_what_someone_wrote(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("age,name\n1e400,a\n-inf,b\n")
    assert foresail("batch", two_columns, given, tmp_path / "out.csv", "--keep", "name") == 3
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ["a,,", "b,-inf,b"]
    assert "column 'age': '1e400' is too large for a number" in (tmp_path / "out.csv.errors.jsonl").read_text()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_tensors_are_nested_lists_in_a_column(
    foresail: Foresail, matrix: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, suffix: str
) -> None:
    rows = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]
    given = tmp_path / f"in.{suffix}"
    match suffix:
        case "csv":
            given.write_text("x\n" + "".join(f'"{json.dumps(row)}"\n' for row in rows))
        case "jsonl":
            given.write_text("".join(json.dumps({"x": row}) + "\n" for row in rows))
        case _:
            pq.write_table(pa.table({"x": rows}), given)
    assert foresail("batch", matrix, given, tmp_path / "out.jsonl") == 0
    assert [row["y"] for row in lines(tmp_path / "out.jsonl")] == rows
    assert foresail("batch", matrix, given, tmp_path / "out.parquet") == 0
    assert pq.read_table(tmp_path / "out.parquet")["y"].to_pylist() == rows


def test_a_tensor_of_another_shape_is_an_error_of_its_row(
    foresail: Foresail, matrix: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text('{"x": [[1, 2], [3, 4]]}\n{"x": [[1, 2]]}\n{"x": 7}\n')
    assert foresail("batch", matrix, given, tmp_path / "out.jsonl") == 3
    assert [row["y"] for row in lines(tmp_path / "out.jsonl")] == [[[1.0, 2.0], [3.0, 4.0]], None, None]
    found = lines(tmp_path / "out.jsonl.errors.jsonl")
    assert found[0] == {"row": 1, "error": "input 'x' has the shape [1, 1, 2], not [-1, 2, 2]"}


def test_where_no_tensor_of_a_chunk_can_be_read_each_row_is_told(
    foresail: Foresail, matrix: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text('{"x": [[1, 2]]}\n{"x": 7}\n')
    assert foresail("batch", matrix, given, tmp_path / "out.jsonl") == 3
    assert [row["y"] for row in lines(tmp_path / "out.jsonl")] == [None, None]
    assert [line["row"] for line in lines(tmp_path / "out.jsonl.errors.jsonl")] == [0, 1]
    assert foresail("reference", matrix, given, tmp_path / "out.json") == 1
    assert "no row that the model can run on: the last error was" in capsys.readouterr().err


@pytest.mark.parametrize(
    "first", ['{"age": 1}', '{"nmae": "a", "age": 1}', "nonsense", "7"], ids=["less", "a slip", "no JSON", "no row"]
)
def test_a_first_line_that_is_bad_fails_alone(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, first: str
) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text(first + '\n{"age": 2, "name": "b"}\n')
    assert foresail("batch", two_columns, given, tmp_path / "out.jsonl", "--keep", "name") == 3
    assert [row["who"] for row in lines(tmp_path / "out.jsonl")] == [None, "b"]
    assert [line["row"] for line in lines(tmp_path / "out.jsonl.errors.jsonl")] == [0]


def test_decimals_are_numbers_and_kept_as_they_are(
    foresail: Foresail, two_columns: pathlib.Path, lookup: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    prices = pa.array([decimal.Decimal("1.25"), None], pa.decimal128(10, 2))
    places = pa.array([decimal.Decimal(1), decimal.Decimal(0)], pa.decimal128(38, 0))
    pq.write_table(pa.table({"age": prices, "name": ["a", "b"], "place": places}), given)
    assert foresail("batch", two_columns, given, output, "--keep", "age") == 0
    found = pq.read_table(output).to_pylist()
    assert (found[0]["age"], found[0]["years"]) == (decimal.Decimal("1.25"), 1.25)
    assert np.isnan(found[1]["years"])
    assert foresail("batch", lookup, given, tmp_path / "whole.parquet") == 0
    assert pq.read_table(tmp_path / "whole.parquet")["value"].to_pylist() == [20.0, 10.0]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_number_where_a_text_belongs_is_an_error_of_its_row(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, suffix: str
) -> None:
    given = tmp_path / f"in.{suffix}"
    if suffix == "jsonl":
        given.write_text('{"age": 1, "name": 12345}\n{"age": 2, "name": 67890}\n')
    else:
        pq.write_table(pa.table({"age": [1, 2], "name": [12345, 67890]}), given)
    assert foresail("batch", two_columns, given, tmp_path / "out.jsonl") == 3
    assert [row["who"] for row in lines(tmp_path / "out.jsonl")] == [None, None]
    assert lines(tmp_path / "out.jsonl.errors.jsonl") == [
        {"row": 0, "error": "column 'name': 12345 is no value for BYTES"},
        {"row": 1, "error": "column 'name': 67890 is no value for BYTES"},
    ]


def test_digits_with_a_line_between_are_no_number(
    foresail: Foresail, two_columns: pathlib.Path, lookup: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "in.csv").write_text("age,name,place\n1_000,a,0_1\n")
    for model, kind in ((two_columns, "no number"), (lookup, "no whole number")):
        assert foresail("batch", model, tmp_path / "in.csv", tmp_path / "out.csv", "--overwrite") == 3
        assert f"is {kind}" in (tmp_path / "out.csv.errors.jsonl").read_text()


def test_an_input_without_rows_gives_an_output_without_rows(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("age,name\n")
    assert foresail("batch", two_columns, given, tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == "years,who\n"
    pq.write_table(
        pa.table({"age": pa.array([], pa.float32()), "name": pa.array([], pa.string())}), tmp_path / "i.parquet"
    )
    assert foresail("batch", two_columns, tmp_path / "i.parquet", tmp_path / "out.parquet") == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("name", "text", "target", "more", "sentence"),
    [
        ("in.csv", None, "out.csv", [], "there is no "),
        ("in.txt", "x", "out.csv", [], "ends in '.txt': .parquet, .csv, .jsonl and folders of pictures are read"),
        ("in.csv", "", "out.csv", [], "is empty: a CSV file begins with a line of column names"),
        ("in.csv", "a,a\n", "out.csv", [], "two columns 'a': give each its own name"),
        ("in.jsonl", "", "out.csv", [], "is empty: write a JSON object a line"),
        ("in.jsonl", "7\n", "out.csv", [], "neither an object nor a list"),
        ("in.jsonl", "{\n", "out.csv", [], "is not JSON"),
        ("in.parquet", "no parquet", "out.csv", [], "is no Parquet file"),
        ("in.csv", "age\n1\n", "out.csv", [], "the input lacks 'name': it has 'age'"),
        ("in.csv", "age,name\n", "out.xlsx", [], "ends in '.xlsx': .parquet, .csv and .jsonl are written"),
        ("in.csv", "age,name\n", "out.csv", ["--keep", "id"], "--keep names 'id': the input has age, name"),
        ("in.csv", "age,name\n", "out.csv", ["--iou", "1"], "the options iou are for pictures"),
        ("in.csv", "age,name\n", "out.csv", ["--task", "object-detection"], "the options task are for pictures"),
        ("in.csv", "age,name\n", "out.csv", ["--columns", "age,age"], "--columns names 'age' twice"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence_before_anything_is_written(
    *, foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str],
    name: str, text: str | None, target: str, more: list[str], sentence: str,
) -> None:  # fmt: skip
    if text is not None:
        (tmp_path / name).write_text(text)
    assert foresail("batch", two_columns, tmp_path / name, tmp_path / target, *more) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert told.startswith("foresail: ")
    assert not list(tmp_path.glob("out*"))


def test_a_model_that_names_no_columns_wants_as_many_as_it_takes(
    foresail: Foresail, logreg: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in.csv"
    given.write_text("a,b\n1,2\n")
    assert foresail("batch", logreg, given, tmp_path / "out.csv") == 1
    assert (
        "takes 9 columns and names none, the input has 2: name those to use with --columns" in capsys.readouterr().err
    )


def test_an_output_that_is_there_is_not_written_over_unasked(
    foresail: Foresail, two_columns: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, output = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_text("age,name\n1,a\n")
    output.write_text("mine")
    assert foresail("batch", two_columns, given, output) == 1
    assert "is there already: name another output, or say --overwrite" in capsys.readouterr().err
    assert output.read_text() == "mine"
    assert foresail("batch", two_columns, given, output, "--overwrite") == 0
    assert output.read_text() == "years,who\n1.0,a\n"
