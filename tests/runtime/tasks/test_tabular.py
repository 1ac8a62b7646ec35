"""Rows to inputs and outputs to rows, and every row that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foresail_runtime import errors, tensors
from foresail_runtime.tasks import tabular

if TYPE_CHECKING:
    import numpy.typing as npt

Spec = tuple[str, str, tuple[int, ...]]
MATRIX: Spec = ("X", "FP32", (-1, 3))
NAMED = {"columns": "['a', 'b', 'c']"}
MIXED: tuple[Spec, ...] = (("age", "INT64", (-1, 1)), ("city", "BYTES", (-1,)), ("member", "BOOL", (-1, 1)))


def table(*specs: Spec, **metadata: str) -> tabular.Table:
    inputs = tuple(tensors.TensorSpec(name, tensors.DATATYPES[kind], shape) for name, kind, shape in specs)
    return tabular.Table(tensors.Signature(inputs, (), metadata))


@pytest.mark.parametrize(
    "document",
    [
        {"rows": [{"a": 1, "b": 2.5, "c": 3}, {"c": -3, "b": 0, "a": 7}]},
        {"rows": [[1, 2.5, 3], [7, 0, -3]]},
        [[1, 2.5, 3], [7, 0, -3]],
        {"columns": ["a", "b", "c"], "data": [[1, 2.5, 3], [7, 0, -3]]},
        {"columns": ["c", "a", "b"], "data": [[3, 1, 2.5], [-3, 7, 0]], "index": [0, 1]},
    ],
)
def test_rows_become_one_matrix_in_every_form(document: object) -> None:
    (tensor,) = table(MATRIX, **NAMED).read(document)
    assert (tensor.name, tensor.datatype.name, tensor.array.dtype.name) == ("X", "FP32", "float32")
    assert tensor.array.tolist() == [[1, 2.5, 3], [7, 0, -3]]


def test_rows_become_an_input_a_column() -> None:
    rows = [{"city": "Köln", "age": 41, "member": True}, {"age": 7, "member": False, "city": ""}]
    age, city, member = table(*MIXED).read({"rows": rows})
    assert age.array.tolist() == [[41], [7]]
    assert city.array.tolist() == ["Köln".encode(), b""]
    assert member.array.tolist() == [[True], [False]]
    assert (age.array.dtype.name, member.array.dtype.name) == ("int64", "bool")


def test_one_flat_input_is_a_table_of_one_column() -> None:
    (tensor,) = table(("x", "FP64", (-1,))).read({"rows": [{"x": 1}, {"x": 2}]})
    assert tensor.array.tolist() == [1.0, 2.0]


def test_a_null_is_a_missing_number() -> None:
    (tensor,) = table(MATRIX, **NAMED).read({"rows": [{"a": None, "b": 1, "c": 2}]})
    np.testing.assert_array_equal(tensor.array, [[np.nan, 1, 2]])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "the request has no rows: send"),
        ({"rows": []}, "the request has no rows: send"),
        ("rows", "the request has no rows: send"),
        ({"rows": [{"a": 1, "b": 2}]}, "row 0 lacks 'c'"),
        ({"rows": [{"a": 1, "b": 2, "c": 3}, {"a": 1, "x": 2, "c": 3}]}, "row 1 lacks 'b'"),
        (
            {"rows": [{"a": 1, "b": 2, "c": 3, "d": 4}]},
            "row 0 has 'd', which the model does not take: it takes 'a', 'b'",
        ),
        ({"rows": [{"a": 1, "b": 2, "c": 3}, [1, 2, 3]]}, "row 1 is not an object as row 0 is"),
        ({"rows": [[1, 2, 3], [1, 2]]}, "row 1 is not a list of 3 values"),
        ({"rows": [1, 2]}, "row 0 is not a list of 3 values"),
        ({"rows": [[1, "2", 3]]}, "row 0, column 'b': '2' is no value for FP32"),
        ({"rows": [[1, 2, 3], [1, 2, True]]}, "row 1, column 'c': True is no value for FP32"),
        ({"rows": [[1, 2, 3], [1, 1e39, 3]]}, "row 1, column 'b': 1e+39 is out of the range of FP32"),
        ({"rows": [[1, None, -1e300]]}, "row 0, column 'c': -1e+300 is out of the range of FP32"),
        ({"rows": [[1, 2, 3], [1, [2], 3]]}, "row 1, column 'b'"),
        ({"columns": ["a", "b"], "data": [[1, 2]]}, "columns lacks 'c'"),
        ({"columns": ["a", "b", "c", "d"], "data": [[1, 2, 3, 4]]}, "columns has 'd'"),
        ({"columns": ["a", "b", "c", "a"], "data": [[1, 2, 3, 4]]}, "columns has"),
        ({"columns": "abc", "data": [[1, 2, 3]]}, "columns is not a list of names"),
        ({"columns": ["a", "b", "c"], "data": [[1, 2]]}, "row 0 is not a list of 3 values"),
        ({"columns": ["a", "b", "c"], "data": None}, "the request has no rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_row_and_column(document: object, words: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        table(MATRIX, **NAMED).read(document)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"age": 4.0, "city": "x", "member": True}, "row 0, column 'age': 4.0 is no value for INT64: write 4"),
        ({"age": "4", "city": "x", "member": True}, "row 0, column 'age': '4' is no value for INT64"),
        ({"age": 1.5, "city": "x", "member": True}, "row 0, column 'age': 1.5 is no value for INT64"),
        (
            {"age": None, "city": "x", "member": True},
            "row 0, column 'age': a value is missing, and INT64 has none for that: fill it in",
        ),
        (
            {"age": 2**63, "city": "x", "member": True},
            "row 0, column 'age': 9223372036854775808 is out of the range of INT64",
        ),
        ({"age": 1, "city": 5, "member": True}, "row 0, column 'city': 5 is no value for BYTES"),
        ({"age": 1, "city": "x", "member": 1}, "row 0, column 'member': 1 is no value for BOOL"),
    ],
)
def test_a_value_of_another_kind_is_refused(row: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        table(*MIXED).read({"rows": [row]})
    assert words in caught.value.message


def test_a_model_that_names_no_columns_takes_lists_only() -> None:
    unnamed = table(MATRIX)
    assert unnamed.columns == ()
    assert unnamed.read([[1, 2, 3]])[0].array.tolist() == [[1, 2, 3]]
    with pytest.raises(
        errors.InvalidRequest, match="names none of its 3 columns: send each row as a list of 3 numbers"
    ):
        unnamed.read({"rows": [{"a": 1, "b": 2, "c": 3}]})


def test_many_columns_are_not_all_listed() -> None:
    wide = table(("X", "FP32", (-1, 40)), columns="\n".join(f"c{i}" for i in range(40)))
    with pytest.raises(errors.InvalidRequest, match="'c9' and 30 more"):
        wide.read({"rows": [{}]})


@pytest.mark.parametrize(
    ("specs", "metadata", "words"),
    [
        ([("x", "FP32", (-1, 3, 4))], {}, "this model takes x [-1, 3, 4]"),
        ([MATRIX, ("y", "FP32", (-1, 2))], {}, "an input a column, or one input [N, columns]"),
        ([("x", "FP32", (-1, -1))], {}, "an input a column"),
        ([], {}, "an input a column"),
        ([("x", "BF16", (-1, 3))], {}, "x is BF16"),
        ([MATRIX], {"columns": "a,b,a"}, "names 'a' twice"),
        ([MATRIX], {"columns": "a\nb"}, "metadata columns names 2, and its input takes 3"),
    ],
)
def test_a_model_that_takes_no_table_is_refused_with_words(
    specs: list[Spec], metadata: dict[str, str], words: str
) -> None:
    with pytest.raises(errors.ModelUnusable) as caught:
        table(*specs, **metadata)
    assert words in caught.value.message


def output(name: str, kind: str, array: npt.NDArray[Any]) -> tensors.Tensor:
    return tensors.Tensor(name, tensors.DATATYPES[kind], array)


def test_outputs_come_back_row_by_row() -> None:
    names = np.empty(2, object)
    names[:] = [b"good", "böse".encode()]
    answer = table(MATRIX).answer(
        (
            output("label", "INT64", np.array([0, 1])),
            output("scores", "FP32", np.array([[0.5], [0.25]], np.float32)),
            output("probabilities", "FP32", np.array([[0.25, 0.75], [1, 0]], np.float32)),
            output("name", "BYTES", names),
        )
    )
    assert answer == {
        "rows": [
            {"label": 0, "scores": 0.5, "probabilities": [0.25, 0.75], "name": "good"},
            {"label": 1, "scores": 0.25, "probabilities": [1.0, 0.0], "name": "böse"},
        ]
    }


def test_an_output_of_bf16_comes_back_as_numbers() -> None:
    answer = table(MATRIX).answer((output("y", "BF16", np.array([0x3F80, 0xC000], np.uint16)),))
    assert answer == {"rows": [{"y": 1.0}, {"y": -2.0}]}


@pytest.mark.parametrize("array", [np.float32(1), np.zeros(3, np.float32)])
def test_outputs_that_are_not_a_row_each_are_the_model_s_failure(array: Any) -> None:
    with pytest.raises(errors.ModelFailed, match="not one value a row"):
        table(MATRIX).answer((output("x", "FP32", np.zeros(2, np.float32)), output("y", "FP32", np.asarray(array))))


def test_an_output_that_json_can_not_carry_is_refused_with_the_way_out() -> None:
    with pytest.raises(errors.InvalidRequest, match="'y' holds NaN or infinity"):
        table(MATRIX).answer((output("y", "FP32", np.array([np.nan], np.float32)),))
