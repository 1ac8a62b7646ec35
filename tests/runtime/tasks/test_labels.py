"""Class names in the spellings that exports use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foresail_runtime import errors
from foresail_runtime.tasks import labels

if TYPE_CHECKING:
    import pathlib


@pytest.mark.parametrize(
    "text",
    [
        "{0: 'person', 1: \"cat's eye\"}",
        '{"0": "person", "1": "cat\'s eye"}',
        "['person', \"cat's eye\"]",
        '["person", "cat\'s eye"]',
        "person\ncat's eye\n",
        "person, cat's eye",
    ],
)
def test_names_are_read_in_every_spelling(text: str) -> None:
    assert labels.from_metadata({"names": text}) == {0: "person", 1: "cat's eye"}


def test_ids_need_not_be_in_a_row() -> None:
    found = labels.Labels(labels.from_metadata({"labels": "{7: 'seven', 9: 'nine'}"}))
    assert [found.name(number) for number in (7, 8, 9)] == ["seven", "8", "nine"]


@pytest.mark.parametrize(
    "text", ["{0: __import__('os')}", "[" * 5000, "{0: 'a'", "{'a': 'b'}", "[1 if 1 else 2]", "{1, 2}"]
)
def test_what_is_no_literal_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(errors.ModelUnusable, match="metadata names can't be read"):
        labels.from_metadata({"names": text})


def test_no_names_is_an_empty_answer() -> None:
    assert labels.from_metadata({"names": "  ", "author": "someone"}) == {}


def test_a_labels_file_beside_the_model_is_read(tmp_path: pathlib.Path) -> None:
    assert labels.beside(tmp_path) == {}
    (tmp_path / "labels.txt").write_text("ok\nscratch\n")
    assert labels.beside(tmp_path) == {0: "ok", 1: "scratch"}
    (tmp_path / "labels.json").write_text('{"0": "fine"}')
    assert labels.beside(tmp_path) == {0: "fine"}
    assert labels.beside(None) == {}


@pytest.mark.parametrize(("file", "text"), [("labels.txt", "cat\ndog\n"), ("labels.json", '["cat", "dog"]')])
def test_the_mark_that_windows_writes_before_utf_8_is_no_part_of_a_name(
    tmp_path: pathlib.Path, file: str, text: str
) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8-sig")
    assert labels.beside(tmp_path) == {0: "cat", 1: "dog"}


def test_half_of_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert labels.from_metadata({"names": '["\\ud83d", "dog"]'}) == {0: "?", 1: "dog"}


@pytest.mark.parametrize(("count", "number", "name"), [(80, 79, "toothbrush"), (1000, 967, "espresso")])
def test_the_lists_everyone_knows_stand_in_where_the_model_is_silent(count: int, number: int, name: str) -> None:
    assert len(labels.well_known(count)) == count
    assert labels.well_known(count)[number] == name


def test_any_other_number_of_classes_has_no_list() -> None:
    assert labels.well_known(81) == {}
    assert labels.well_known(None) == {}


def test_a_class_is_found_by_its_name_whatever_the_case() -> None:
    found = labels.Labels({0: "Person", 1: "dining table", 2: "person"})
    assert found.find(" PERSON ") == {0, 2}
    assert found.find("Dining Table") == {1}
    assert not found.find("chair")
