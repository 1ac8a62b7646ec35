"""`foresail batch` over a folder of pictures."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.runtime import spotter

if TYPE_CHECKING:
    from collections.abc import Callable

    Foresail = Callable[..., int]
    Lines = Callable[[pathlib.Path], list[dict[str, Any]]]

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three pictures, one of them below and turned on its side by EXIF; one that is none, one cut short; and a text."""
    made = tmp_path / "pictures"
    (made / "below").mkdir(parents=True)
    shutil.copy(ROOT / "tests/pictures/chelsea.png", made / "cat.PNG")
    picture = Image.open(ROOT / "tests/pictures/astronaut.png").convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(made / "below/person.jpg", exif=exif, quality=95)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    (made / "cut.png").write_bytes(buffer.getvalue()[:5000])
    (made / "none.jpg").write_text("hello")
    (made / "README.txt").write_text("no picture")
    return made


def test_boxes_are_what_the_server_answers_and_what_is_no_picture_fails_alone(
    foresail: Foresail, nanodet: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, lines: Lines
) -> None:
    assert foresail("batch", nanodet, folder, tmp_path / "out.jsonl", "--confidence", "0.5") == 3
    found = {row["file"]: row for row in lines(tmp_path / "out.jsonl")}
    assert list(found) == ["below/person.jpg", "cat.PNG", "cut.png", "none.jpg"]
    (cat,) = found["cat.PNG"]["detections"]
    assert (cat["class_name"], cat["confidence"]) == ("cat", pytest.approx(0.60, abs=0.015))
    assert cat["box"] == pytest.approx([2, 0, 438, 298], abs=2)
    assert found["below/person.jpg"]["detections"][0]["class_name"] == "person"
    assert (found["below/person.jpg"]["width"], found["below/person.jpg"]["height"]) == (512, 512)
    assert found["none.jpg"] == {"file": "none.jpg", "width": None, "height": None, "detections": None}
    told = lines(tmp_path / "out.jsonl.errors.jsonl")
    assert [(line["row"], line["file"]) for line in told] == [(2, "cut.png"), (3, "none.jpg")]
    assert "cut short" in told[0]["error"]
    assert told[1]["error"] == "the body is not a picture: send JPEG, PNG, WebP, BMP or GIF bytes"


def test_boxes_fit_into_parquet(
    foresail: Foresail, nanodet: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert foresail("batch", nanodet, folder, tmp_path / "out.parquet", "--classes", "cat") == 3
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [len(row["detections"]) if row["detections"] is not None else None for row in rows] == [0, 1, None, None]
    assert rows[1]["detections"][0]["class_name"] == "cat"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["out.csv"], "CSV has no lists, which detections are: name the output .jsonl or .parquet"),
        (["out.jsonl", "--confidence", "2"], "the option confidence is '2': write a number from 0 to 1"),
        (["out.jsonl", "--classes", "unicorn"], "'unicorn', which is no class of this model"),
        (["out.jsonl", "--task", "image-classification"], "image-classification needs an output of shape"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_written(
    *, foresail: Foresail, nanodet: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str,
) -> None:  # fmt: skip
    target, *more = arguments
    assert foresail("batch", nanodet, folder, tmp_path / target, *more) == 1
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_a_jfif_is_a_jpeg(foresail: Foresail, nanodet: pathlib.Path, tmp_path: pathlib.Path, lines: Lines) -> None:
    (tmp_path / "saved").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "saved/photo.JFIF", "JPEG")
    assert foresail("batch", nanodet, tmp_path / "saved", tmp_path / "out.jsonl") == 0
    assert [row["file"] for row in lines(tmp_path / "out.jsonl")] == ["photo.JFIF"]


def test_a_folder_without_pictures_is_told(
    foresail: Foresail, nanodet: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert foresail("batch", nanodet, tmp_path / "empty", tmp_path / "out.jsonl") == 1
    assert "holds no picture: .jpg, .jpeg" in capsys.readouterr().err


def test_a_model_of_rows_takes_no_folder(
    foresail: Foresail, logreg: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert foresail("batch", logreg, folder, tmp_path / "out.jsonl") == 1
    assert "takes no pictures: give it a file of rows" in capsys.readouterr().err


def test_masks_fit_into_parquet(foresail: Foresail, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first = np.zeros((1, 4 + 3 + 4, 84), np.float32)
    first[0, :8, 0] = [32, 32, 20, 20, 0, 0.7, 0, 1]
    made = {"output0": first, "output1": np.ones((1, 4, 16, 16), np.float32)}
    constants = [onnx.numpy_helper.from_array(array, f"{name}_") for name, array in made.items()]
    # A batch dimension of one, and an input that is looked at, so that the model is like those that people have.
    nodes = [onnx.helper.make_node("ReduceMin", ["images"], ["zero"], keepdims=0)]
    nodes += [onnx.helper.make_node("Sum", [f"{name}_", "nothing"], [name]) for name in made]
    nodes.insert(1, onnx.helper.make_node("Mul", ["zero", "naught"], ["nothing"]))
    constants.append(onnx.numpy_helper.from_array(np.zeros((), np.float32), "naught"))
    kind = onnx.TensorProto.FLOAT
    values = [onnx.helper.make_tensor_value_info("images", kind, [1, 3, 64, 64])]
    results = [onnx.helper.make_tensor_value_info(name, kind, array.shape) for name, array in made.items()]
    graph = onnx.helper.make_graph(nodes, "tiny", values, results, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    onnx.helper.set_model_props(model, {"task": "segment"})
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    assert foresail("batch", tmp_path / "tiny.onnx", folder, tmp_path / "out.parquet") == 3
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    (found,) = rows[0]["detections"]
    assert found["mask"]["size"] == [512, 512]
    assert sum(found["mask"]["counts"]) == 512 * 512
    assert sum(found["mask"]["counts"][1::2]) == 160 * 160


@pytest.fixture
def seen(tmp_path: pathlib.Path) -> pathlib.Path:
    """Pictures in which two boxes, none and one are found."""
    made = tmp_path / "seen"
    made.mkdir()
    for name, places in {"a": (0, 2), "b": (), "c": (1,)}.items():
        (made / f"{name}.png").write_bytes(spotter.picture(*places))
    return made


@pytest.mark.parametrize("numbered", [True, False])
def test_pictures_of_any_number_of_rows_are_scored_one_by_one(
    *, foresail: Foresail, seen: pathlib.Path, tmp_path: pathlib.Path, lines: Lines, numbered: bool
) -> None:
    model = spotter.save(tmp_path / "spotter.onnx", numbered=numbered)
    (seen / "none.jpg").write_text("hello")
    assert foresail("batch", model, seen, tmp_path / "out.jsonl", "--task", "object-detection") == 3
    rows = [row["detections"] for row in lines(tmp_path / "out.jsonl")]
    assert [None if row is None else [found["box"] for found in row] for row in rows] == [
        [list(spotter.PLACES[0]), list(spotter.PLACES[2])], [], [list(spotter.PLACES[1])], None
    ]  # fmt: skip


def test_a_reference_is_learnt_of_boxes_where_pictures_have_any_number(
    foresail: Foresail, seen: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    model = spotter.save(tmp_path / "spotter.onnx", numbered=True)
    assert foresail("reference", model, seen, tmp_path / "r.json", "--task", "object-detection") == 0
    learnt = {feature["name"]: feature for feature in json.loads((tmp_path / "r.json").read_text())["features"]}
    assert sum(learnt["output.4"]["counts"]) == 3


def test_names_of_too_few_classes_are_left_aside_where_only_a_run_says_so(
    foresail: Foresail, tmp_path: pathlib.Path, lines: Lines
) -> None:
    model = spotter.save_untold(tmp_path / "model.onnx")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/one.png").write_bytes(spotter.picture())
    assert foresail("batch", model, tmp_path / "pictures", tmp_path / "out.jsonl", "--task", "object-detection") == 0
    (row,) = lines(tmp_path / "out.jsonl")
    assert [found["class_name"] for found in row["detections"]] == ["person"]
