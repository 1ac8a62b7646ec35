"""Whole bodies: the table of what is refused, and what goes in comes out."""

from __future__ import annotations

import contextlib
import math
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresail_runtime import errors, tensors
from foresail_runtime.codec import heads, rest
from foresail_runtime.tensors import DATATYPES, InferResponse, Signature, Tensor, TensorSpec

ROW = TensorSpec("x", tensors.FP32, (-1, 2))
ONE = Signature((ROW,), (TensorSpec("y", tensors.FP32, (-1, 2)), TensorSpec("z", tensors.BYTES, (-1,))))
TWO = Signature((ROW, TensorSpec("flag", tensors.BOOL, (-1,))), (TensorSpec("y", tensors.FP32, (-1, 2)),))


def entry(**changes: Any) -> dict[str, Any]:
    made = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2], **changes}
    return {key: value for key, value in made.items() if value is not ...}


def body(*inputs: Any, **more: Any) -> bytes:
    return orjson.dumps({"inputs": list(inputs or [entry()]), **more})


def decode(
    text: bytes, length: int | None = None, signature: Signature = ONE
) -> tuple[tensors.InferRequest, rest.Form]:
    return rest.decode(signature, text, length)


REFUSED = {
    "malformed JSON": (b'{"inputs": [', "not JSON"),
    "an empty body": (b"", "not JSON"),
    "a body that is no object": (b"[]", "not a JSON object"),
    "bytes that are no UTF-8": (b'{"id": "\xff"}', "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + body(), "byte order mark.*leave out the three bytes before it"),
    "NaN": (b'{"inputs": [NaN]}', "not JSON.*; JSON has no NaN and no infinity: send the tensor as binary data"),
    "infinity": (b'{"inputs": [-Infinity]}', "no digit after sign.*; JSON has no NaN and no infinity: send"),
    "nesting without end": (b"[" * 100_000, "not JSON"),
    "inputs missing": (b"{}", "inputs is missing"),
    "inputs empty": (b'{"inputs": []}', "inputs is missing or empty"),
    "inputs null": (b'{"inputs": null}', "inputs is missing"),
    "inputs no list": (b'{"inputs": {}}', "inputs is missing"),
    "an input that is no object": (body(5), "not an object"),
    "an input with no name": (body(entry(name=...)), "input None is not an input"),
    "a name that is a list": (body(entry(name=["x"])), r"input \['x'\] is not an input"),
    "an unknown input": (body(entry(name="q")), "input 'q' is not an input of the model, which has 'x'"),
    "an input twice": (body(entry(), entry()), "'x' is in the request twice"),
    "shape missing": (body(entry(shape=...)), "'x': shape None"),
    "shape of text": (body(entry(shape=["1", 2])), "'x': shape"),
    "a negative dimension": (body(entry(shape=[-1, 2])), "'x': shape"),
    "a fraction as dimension": (body(entry(shape=[1.0, 2])), "'x': shape"),
    "true as dimension": (body(entry(shape=[True, 2])), "'x': shape"),
    "a shape past all bounds": (body(entry(shape=[2**62, 2**62])), "more than"),
    "a huge shape with a zero": (body(entry(shape=[0, 2**40])), "more than"),
    "datatype missing": (body(entry(datatype=...)), "'x': datatype None is none of"),
    "an unknown datatype": (body(entry(datatype="FP31")), "'x': datatype 'FP31' is none of"),
    "a datatype in small letters": (body(entry(datatype="fp32")), "'x': datatype 'fp32' is none of"),
    "another datatype": (body(entry(datatype="INT32", data=[1, 2])), "'x': datatype is INT32, the model takes FP32"),
    "another rank": (body(entry(shape=[2])), r"'x': shape is \[2\], the model takes \[-1, 2\]"),
    "another dimension": (body(entry(shape=[1, 3], data=[1, 2, 3])), r"'x': shape is \[1, 3\], the model takes"),
    "data missing": (body(entry(data=...)), "'x' has no data"),
    "data null": (body(entry(data=None)), "'x': data is null"),
    "too few elements": (body(entry(data=[1])), r"'x': 1 elements in data, shape \[1, 2\] has 2"),
    "too many elements": (body(entry(data=[1, 2, 3])), "'x': 3 elements"),
    "text in numbers": (body(entry(data=[1, "2"])), "'x': element 1 is a string, FP32 can't hold it"),
    "null in numbers": (body(entry(data=[None, 2])), "'x': element 0 is null"),
    "true in numbers": (body(entry(data=[True, 2])), "'x': element 0 is true, FP32 can't hold it"),
    "a number out of range": (body(entry(data=[1e39, 2])), "'x': element 0 is the number 1e"),
    "ragged rows": (body(entry(shape=[2, 2], data=[[1, 2], [3]])), "'x': nested data does not have the shape"),
    "rows too deep": (body(entry(data=[[[1, 2]]])), "'x'"),
    "too few rows": (body(entry(shape=[2, 2], data=[[1, 2]])), "'x': 1 rows of nested data"),
    "mixed depth": (body(entry(shape=[2, 2], data=[[1, 2], 3, 4])), "'x'"),
    "an id that is a number": (body(id=5), "id is 5, not a string"),
    "an unknown output": (
        body(outputs=[{"name": "q"}]),
        "output 'q' is not an output of the model, which has 'y', 'z'",
    ),
    "an output twice": (body(outputs=[{"name": "y"}, {"name": "y"}]), "output 'y' is asked for twice"),
    "outputs no list": (body(outputs="y"), "outputs is not a list"),
    "an output without name": (body(outputs=[{}]), "not an object with a name"),
    "nested parameters": (body(parameters={"a": {}}), "parameter 'a' is neither"),
    "parameters no object": (body(parameters=[]), "parameters is not an object"),
    "nested parameters of an input": (body(entry(parameters={"a": []})), "parameter 'a' is neither"),
    "a flag that is text": (body(parameters={"binary_data_output": "yes"}), "binary_data_output is 'yes'"),
    "a negative timeout": (body(parameters={"timeout": -1}), "timeout is -1"),
    "a priority that is text": (body(parameters={"priority": "high"}), "priority is 'high'"),
    "binary size without a header length": (
        body(entry(data=..., parameters={"binary_data_size": 8})),
        "'x' says binary_data_size, the request has no Inference-Header-Content-Length",
    ),
    "data that lies in shared memory as well": (
        body(entry(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 8})),
        "'x': shared memory is not offered",
    ),
    "classification, which is not offered": (
        body(outputs=[{"name": "y", "parameters": {"classification": 3}}]),
        "the classification extension is not offered",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_request_is_refused_with_what_is_wrong(case: tuple[bytes, str]) -> None:
    text, words = case
    with pytest.raises(errors.InvalidRequest, match=words):
        decode(text)


def test_a_refusal_is_the_same_when_the_same_comes_again() -> None:
    assert decode(body())[0].inputs[0].shape == (1, 2)
    for shape in ([True, 2], [1.0, 2], "[1, 2]"):  # equal to [1, 2] for Python, or once written down
        with pytest.raises(errors.InvalidRequest, match="shape"):
            decode(body(entry(shape=shape)))
    assert decode(body())[0].inputs[0].shape == (1, 2)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(errors.InvalidRequest, match="the request lacks input 'flag'"):
        decode(body(), signature=TWO)


def test_inputs_come_out_in_the_models_order() -> None:
    flag = {"name": "flag", "shape": [1], "datatype": "BOOL", "data": [True]}
    request, _ = decode(body(flag, entry()), signature=TWO)
    assert [tensor.name for tensor in request.inputs] == ["x", "flag"]
    assert request.inputs[1].array.tolist() == [True]


@pytest.mark.parametrize("data", [[1.5, 2], [[1.5, 2]]], ids=["flat", "nested"])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    (tensor,) = decode(body(entry(data=data)))[0].inputs
    np.testing.assert_array_equal(tensor.array, np.array([[1.5, 2]], np.float32))
    assert tensor.array.dtype == np.float32


def test_unknown_fields_are_ignored_and_known_ones_read() -> None:
    parameters = {"timeout": 1500, "priority": 2, "sequence_id": 7, "binary_data_output": True}
    text = body(id="a", parameters=parameters, model_name="other", extra=[1], outputs=[{"name": "y", "extra": 1}])
    request, form = decode(text)
    assert (request.id, request.outputs, request.timeout_seconds, request.priority) == ("a", ("y",), 0.0015, 2)
    assert form.is_binary("y")


def test_a_timeout_of_zero_is_none() -> None:
    assert decode(body(parameters={"timeout": 0}))[0].timeout_seconds is None


def binary(head: dict[str, Any], *parts: bytes) -> tuple[bytes, int]:
    text = orjson.dumps(head)
    return b"".join((text, *parts)), len(text)


def sized(size: Any, **changes: Any) -> dict[str, Any]:
    return entry(data=..., parameters={"binary_data_size": size}, **changes)


def test_a_binary_tensor_is_a_view_of_the_body() -> None:
    text, length = binary({"inputs": [sized(8)]}, struct.pack("<2f", 1.5, 2))
    (tensor,) = decode(text, length)[0].inputs
    assert tensor.array.tolist() == [[1.5, 2.0]]
    assert not tensor.array.flags.owndata
    assert not tensor.array.flags.writeable


def test_json_and_binary_inputs_mix() -> None:
    flag = {"name": "flag", "shape": [1], "datatype": "BOOL", "data": [False]}
    text, length = binary({"inputs": [flag, sized(8)]}, struct.pack("<2f", 1, 2))
    request, _ = decode(text, length, TWO)
    assert [tensor.array.tolist() for tensor in request.inputs] == [[[1.0, 2.0]], [False]]


def test_binary_tensors_lie_in_the_order_of_the_header() -> None:
    flag = {"name": "flag", "shape": [1], "datatype": "BOOL", "parameters": {"binary_data_size": 1}}
    text, length = binary({"inputs": [flag, sized(8)]}, b"\x01", struct.pack("<2f", 1, 2))
    request, _ = decode(text, length, TWO)
    assert [tensor.array.tolist() for tensor in request.inputs] == [[[1.0, 2.0]], [True]]


FLAG = {"name": "flag", "shape": [1], "datatype": "BOOL", "parameters": {"binary_data_size": 1}}
COUNTS = Signature((ROW, TensorSpec("n", tensors.DATATYPES["INT32"], (1,))), ())


def test_a_header_that_is_known_is_followed_again() -> None:
    count = {"name": "n", "shape": [1], "datatype": "INT32", "parameters": {"binary_data_size": 4}}
    wishes = {"parameters": {"binary_data_output": True, "timeout": 1_000_000, "priority": 2}}
    head = {"inputs": [count, sized(8)]} | wishes
    seen = []
    for number in (1, 2):
        text, length = binary(head, struct.pack("<i", number), struct.pack("<2f", number, 0.5))
        request, form = decode(text, length, COUNTS)
        arrays = [tensor.array.tolist() for tensor in request.inputs]
        seen.append((arrays, request.inputs[0].array.flags.writeable, request[1:], form))
    assert seen[0] == ([[[1.0, 0.5]], [1]], False, ((), None, 1.0, 2), rest.BINARY_ONLY)
    assert seen[1] == ([[[2.0, 0.5]], [2]], *seen[0][1:])


@pytest.mark.parametrize(
    ("head", "signature", "good", "bad"),
    [
        ({"inputs": [sized(8)]}, ONE, bytes(8), bytes(9)),
        ({"inputs": [sized(8)]}, ONE, bytes(8), bytes(7)),
        ({"inputs": [FLAG, sized(8)]}, TWO, bytes(9), b"\x02" + bytes(8)),
    ],
    ids=["more bytes", "fewer bytes", "a boolean of 2"],
)
def test_what_was_good_once_behind_a_header_lets_nothing_bad_through(
    head: dict[str, Any], signature: Signature, good: bytes, bad: bytes
) -> None:
    text, length = binary(head, good)
    decode(text, length, signature)
    with pytest.raises(errors.InvalidRequest):
        decode(text[:length] + bad, length, signature)


def test_headers_that_never_come_again_are_not_remembered() -> None:
    signature = Signature((ROW,), ())
    for head in ({"id": "1"}, {"parameters": {"note": "x" * heads.MAX_BYTES}}):
        decode(*binary({"inputs": [sized(8)]} | head, bytes(8)), signature)
    decode(*binary({"inputs": [entry()]}), signature)  # its numbers are in the header
    assert not signature.known_heads
    for note in range(2 * heads.MAX_KNOWN):
        decode(*binary({"inputs": [sized(8)], "parameters": {"note": note}}, bytes(8)), signature)
    assert len(signature.known_heads) == heads.MAX_KNOWN


def test_no_elements_may_be_sent_in_both_ways() -> None:
    text, length = binary({"inputs": [sized(0, shape=[0, 2]) | {"data": []}]})
    assert decode(text, length)[0].inputs[0].shape == (0, 2)


BINARY_REFUSED = {
    "a size that is text": (sized("8"), bytes(8), "binary_data_size is '8'"),
    "a negative size": (sized(-8), bytes(8), "binary_data_size is -8"),
    "a size that is true": (sized(True), bytes(8), "binary_data_size is True"),
    "more than the body has": (sized(9), bytes(8), "binary_data_size is 9, 8 bytes are left"),
    "another size than the shape": (sized(4), bytes(4), r"'x': 4 bytes for shape \[1, 2\] of FP32, which takes 8"),
    "bytes left over": (sized(8), bytes(9), "1 bytes are left in the body"),
    "data as well": (sized(8) | {"data": [1, 2]}, bytes(8), "both data and binary_data_size"),
}


@pytest.mark.parametrize("case", BINARY_REFUSED.values(), ids=BINARY_REFUSED.keys())
def test_sizes_that_do_not_add_up_are_refused(case: tuple[dict[str, Any], bytes, str]) -> None:
    tensor, data, words = case
    text, length = binary({"inputs": [tensor]}, data)
    with pytest.raises(errors.InvalidRequest, match=words):
        decode(text, length)


def test_a_header_longer_than_the_body_is_refused() -> None:
    with pytest.raises(errors.InvalidRequest, match="Inference-Header-Content-Length is 9999"):
        decode(body(), 9999)


def test_a_header_length_with_a_pure_json_body_is_fine() -> None:
    text = body()
    assert decode(text, len(text))[0].inputs[0].array.tolist() == [[1.5, 2.0]]


def test_a_body_without_a_header_is_the_only_input() -> None:
    request, form = decode(struct.pack("<2f", 1, 2), 0)
    assert request.inputs[0].array.tolist() == [[1.0, 2.0]]
    assert form.is_binary("y")


def test_a_body_without_a_header_fills_its_variable_dimension() -> None:
    pixels = Signature((TensorSpec("p", tensors.DATATYPES["UINT8"], (-1, 2, -1)),), ())
    assert decode(bytes(6), 0, pixels)[0].inputs[0].shape == (1, 2, 3)
    assert decode(bytes(16), 0)[0].inputs[0].shape == (2, 2)


def test_a_body_without_a_header_of_text_is_one_element() -> None:
    words = Signature((TensorSpec("w", tensors.BYTES, (-1,)),), ())
    assert decode(b"hello", 0, words)[0].inputs[0].array.tolist() == [b"hello"]


@pytest.mark.parametrize("size", [0, 7, 9], ids=str)
def test_a_body_without_a_header_that_fills_no_row_is_refused(size: int) -> None:
    if size == 0:
        assert decode(b"", 0)[0].inputs[0].shape == (0, 2)
        return
    with pytest.raises(errors.InvalidRequest, match="do not fill"):
        decode(bytes(size), 0)


def test_a_body_without_a_header_is_no_use_to_two_inputs() -> None:
    with pytest.raises(errors.InvalidRequest, match="one tensor, the model takes 2"):
        decode(bytes(8), 0, TWO)


def response(*outputs: Tensor, identity: str | None = None) -> InferResponse:
    return InferResponse("m", "1", outputs, identity)


def test_an_answer_is_the_protocols_json_byte_by_byte() -> None:
    array = np.array([[1.5, 2.0]], np.float32)
    made = rest.encode(response(Tensor("y", tensors.FP32, array), identity='a"b'))
    assert made.header_length is None
    assert made.data == (
        b'{"model_name":"m","model_version":"1","id":"a\\"b",'
        b'"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.5,2.0]}]}'
    )


def test_an_answer_may_mix_json_and_binary() -> None:
    y = Tensor("y", tensors.FP32, np.array([[1.5, 2.0]], np.float32))
    z = Tensor("z", tensors.BYTES, np.array([b"a"], object))
    made = rest.encode(response(y, z), rest.Form(False, {"y": True}))
    assert made.header_length is not None
    document = orjson.loads(made.data[: made.header_length])
    assert document["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
        {"name": "z", "datatype": "BYTES", "shape": [1], "data": ["a"]},
    ]
    assert made.data[made.header_length :] == struct.pack("<2f", 1.5, 2.0)


def test_the_flag_of_one_output_wins_over_that_of_the_request() -> None:
    text = body(
        parameters={"binary_data_output": True},
        outputs=[{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}],
    )
    _, form = decode(text)
    assert (form.is_binary("y"), form.is_binary("z")) == (False, True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_nan_and_infinity_are_never_sent_as_null(value: float) -> None:
    tensor = Tensor("y", tensors.FP32, np.array([[value, 1]], np.float32))
    with pytest.raises(errors.InvalidRequest, match=r"output 'y' holds NaN or infinity.*binary_data"):
        rest.encode(response(tensor))
    made = rest.encode(response(tensor), rest.BINARY_ONLY)
    assert made.data.endswith(np.array([value, 1], np.float32).tobytes())


def test_text_that_says_null_is_no_nan() -> None:
    made = rest.encode(response(Tensor("z", tensors.BYTES, np.array([b"null"], object))))
    assert orjson.loads(made.data)["outputs"][0]["data"] == ["null"]


def test_bytes_that_are_no_text_are_refused_as_json() -> None:
    with pytest.raises(errors.InvalidRequest, match="output 'z' holds bytes that are no UTF-8"):
        rest.encode(response(Tensor("z", tensors.BYTES, np.array([b"\xff"], object))))


def test_an_answer_without_outputs_is_json() -> None:
    assert orjson.loads(rest.encode(response()).data)["outputs"] == []


SHAPES = st.lists(st.integers(0, 3), min_size=0, max_size=3).map(tuple)


@st.composite
def any_tensor(draw: st.DrawFn) -> Tensor:
    datatype = DATATYPES[draw(st.sampled_from(sorted(DATATYPES)))]
    shape = draw(SHAPES)
    count = math.prod(shape)
    array: Any
    if datatype is tensors.BYTES:
        array = np.empty(count, object)
        array[:] = [text.encode() for text in draw(st.lists(st.text(), min_size=count, max_size=count))]
    elif datatype is tensors.BOOL:
        array = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    elif datatype.dtype.kind == "f":
        width: Any = datatype.size * 8
        numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
        array = np.array(draw(st.lists(numbers, min_size=count, max_size=count)), datatype.dtype)
    else:
        high = 0x7F7F if datatype is tensors.BF16 else np.iinfo(datatype.dtype).max  # above: infinity and NaN
        low = int(np.iinfo(datatype.dtype).min)
        numbers_ = st.integers(low, int(high))
        array = np.array(draw(st.lists(numbers_, min_size=count, max_size=count)), datatype.dtype)
    return Tensor("t", datatype, array.reshape(shape))


@given(tensor=any_tensor(), binary_form=st.booleans(), tail=st.binary(max_size=2))
def test_what_is_encoded_decodes_to_the_same(tensor: Tensor, binary_form: bool, tail: bytes) -> None:
    form = rest.BINARY_ONLY if binary_form else rest.JSON_ONLY
    made = rest.encode(response(tensor), form)
    head = orjson.loads(made.data[: made.header_length])
    request = orjson.dumps({"inputs": head["outputs"]})
    text = request + (made.data[made.header_length :] if made.header_length is not None else b"")
    signature = Signature((TensorSpec("t", tensor.datatype, tensor.shape),), ())
    for _ in range(2):  # what is known of a header from the first time gives the same
        decoded, _form = rest.decode(signature, text, len(request) if binary_form else None)
    assert decoded.inputs[0].datatype is tensor.datatype
    assert decoded.inputs[0].shape == tensor.shape
    assert decoded.inputs[0].array.dtype == tensor.array.dtype
    np.testing.assert_array_equal(decoded.inputs[0].array, tensor.array)
    if tail:
        with pytest.raises(errors.InvalidRequest):
            rest.decode(
                signature,
                text + tail.replace(b" ", b"x").replace(b"\n", b"x") + b"x",
                len(request) if binary_form else None,
            )


@given(text=st.binary(max_size=200), length=st.one_of(st.none(), st.integers(0, 220)))
def test_any_bytes_at_all_are_decoded_or_refused(text: bytes, length: int | None) -> None:
    with contextlib.suppress(errors.InvalidRequest):
        decode(text, length)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "shape", "data", "q"]), inner),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), JSON), more=JSON)
def test_any_json_in_any_field_is_decoded_or_refused(changes: dict[str, Any], more: Any) -> None:
    for text in (body(entry(**changes)), body(outputs=more), body(parameters=more), body(id=more)):
        with contextlib.suppress(errors.InvalidRequest):
            decode(text)
