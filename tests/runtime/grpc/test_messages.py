"""ModelInfer's messages, both directions, and every way a request can contradict itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from foresail_runtime import errors, tensors
from foresail_runtime.grpc import messages, oip_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

ANY_SHAPE = (-1, -1)


def signature(*datatypes: str) -> tensors.Signature:
    specs = tuple(tensors.TensorSpec(name.lower(), tensors.DATATYPES[name], ANY_SHAPE) for name in datatypes)
    return tensors.Signature(specs, specs)


def strings(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    made = np.empty(array.shape, object)
    made.ravel()[:] = [bytes([value % 256]) * (value % 5) for value in array.ravel().tolist()]
    return made


@st.composite
def tensor(draw: st.DrawFn) -> tensors.Tensor:
    datatype = tensors.DATATYPES[draw(st.sampled_from(sorted(tensors.DATATYPES)))]
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4))
    source = np.dtype("u1") if datatype is tensors.BYTES else datatype.dtype
    array = draw(arrays.arrays(source, shape))
    return tensors.Tensor(datatype.name.lower(), datatype, strings(array) if datatype is tensors.BYTES else array)


def as_request(response: oip_pb2.ModelInferResponse) -> oip_pb2.ModelInferRequest:
    """The answer sent back as a request: the fields of both are alike."""
    message = oip_pb2.ModelInferRequest(model_name="m", raw_input_contents=response.raw_output_contents)
    for output in response.outputs:
        entry = message.inputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if output.HasField("contents"):
            entry.contents.CopyFrom(output.contents)
    return message


@given(st.lists(tensor(), min_size=1, max_size=4, unique_by=lambda item: item.name), st.booleans())
def test_any_tensors_survive_the_way_there_and_back(given_tensors: list[tensors.Tensor], is_raw: bool) -> None:
    response = tensors.InferResponse("m", "1", tuple(given_tensors), "an id")
    message = messages.encode(response, is_raw=is_raw)
    assert (message.model_name, message.model_version, message.id) == ("m", "1", "an id")
    assert type(message).FromString(messages.serialize(response, is_raw=is_raw)) == message
    again = messages.decode(
        signature(*(item.datatype.name for item in given_tensors)),
        as_request(type(message).FromString(message.SerializeToString())),
    )
    for sent, received in zip(given_tensors, again.request.inputs, strict=True):
        assert sent.datatype is received.datatype
        np.testing.assert_array_equal(sent.array, received.array)
        assert sent.array.dtype == received.array.dtype


@pytest.mark.parametrize("size", [0, 1, 31, 32, 4095, 4096, 600_000])
def test_an_answer_put_together_from_bytes_is_the_message(size: int) -> None:
    outputs = (tensors.Tensor("a", tensors.FP32, np.arange(size, dtype=np.float32)),)
    for identity in ("x", None):
        response = tensors.InferResponse("m", "1", outputs, identity)
        message = oip_pb2.ModelInferResponse.FromString(messages.serialize(response, is_raw=True))
        assert message == messages.encode(response, is_raw=True)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_an_answer_that_has_no_typed_form_is_raw(datatype: str) -> None:
    kind = tensors.DATATYPES[datatype]
    outputs = (
        tensors.Tensor("a", tensors.FP32, np.ones((1, 2), np.float32)),
        tensors.Tensor("b", kind, np.ones((1, 2), kind.dtype)),
    )
    message = messages.encode(tensors.InferResponse("m", "1", outputs), is_raw=False)
    assert [len(part) for part in message.raw_output_contents] == [8, 4]
    assert not message.outputs[0].HasField("contents")
    response = tensors.InferResponse("m", "1", outputs)
    assert type(message).FromString(messages.serialize(response, is_raw=False)) == message


def test_not_a_number_and_infinity_travel_in_both_forms() -> None:
    array = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    response = tensors.InferResponse("m", "1", (tensors.Tensor("fp32", tensors.FP32, array),))
    for is_raw in (True, False):
        decoded = messages.decode(signature("FP32"), as_request(messages.encode(response, is_raw=is_raw)))
        np.testing.assert_array_equal(decoded.request.inputs[0].array, array)


def parameter(**value: Any) -> oip_pb2.InferParameter:
    return oip_pb2.InferParameter(**value)


def fp32(**fields: Any) -> oip_pb2.ModelInferRequest:
    message = oip_pb2.ModelInferRequest(model_name="m", **fields)
    message.inputs.add(name="fp32", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1, 2])
    return message


def test_parameters_outputs_and_id_are_read() -> None:
    message = fp32(
        id="7", parameters={"timeout": parameter(int64_param=1_500_000), "priority": parameter(uint64_param=2)}
    )
    message.outputs.add(name="fp32")
    request, is_raw = messages.decode(signature("FP32"), message)
    assert (request.id, request.timeout_seconds, request.priority, request.outputs) == ("7", 1.5, 2, ("fp32",))
    assert not is_raw


def test_parameters_that_are_not_there_are_not_asked_for() -> None:
    request, _ = messages.decode(signature("FP32"), fp32(parameters={"other": parameter(string_param="kept out")}))
    assert (request.timeout_seconds, request.priority, request.id, request.outputs) == (None, 0, None, ())


def test_a_timeout_of_0_is_the_server_s_own_limit() -> None:
    request, _ = messages.decode(signature("FP32"), fp32(parameters={"timeout": parameter(int64_param=0)}))
    assert request.timeout_seconds is None


def no_inputs(message: oip_pb2.ModelInferRequest) -> None:
    del message.inputs[:]


def fewer_raw(message: oip_pb2.ModelInferRequest) -> None:
    message.raw_input_contents.extend([b"12345678", b"1"])


def both_forms(message: oip_pb2.ModelInferRequest) -> None:
    message.raw_input_contents.append(b"12345678")


def short_raw(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].ClearField("contents")
    message.raw_input_contents.append(b"1234567")


def twice(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs.append(message.inputs[0])


def unknown_input(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].name = "y"


def unknown_datatype(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].datatype = "FLOAT"


def other_datatype(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].datatype = "INT32"


def other_rank(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [2]


def negative(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [-1, -2]


def huge(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [2**62, 2**62]


def too_few(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [1, 3]


def other_field(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].contents.Clear()
    message.inputs[0].contents.fp64_contents.extend([1, 2])


def two_fields(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].contents.int_contents.extend([1, 2])


def shared_memory(message: oip_pb2.ModelInferRequest) -> None:
    message.inputs[0].parameters["shared_memory_region"].string_param = "region"


def unknown_output(message: oip_pb2.ModelInferRequest) -> None:
    message.outputs.add(name="z")


def output_twice(message: oip_pb2.ModelInferRequest) -> None:
    message.outputs.add(name="fp32")
    message.outputs.add(name="fp32")


def classification(message: oip_pb2.ModelInferRequest) -> None:
    message.outputs.add(name="fp32").parameters["classification"].int64_param = 3


def shared_output(message: oip_pb2.ModelInferRequest) -> None:
    message.outputs.add(name="fp32").parameters["shared_memory_region"].string_param = "region"


def text_timeout(message: oip_pb2.ModelInferRequest) -> None:
    message.parameters["timeout"].string_param = "soon"


def negative_priority(message: oip_pb2.ModelInferRequest) -> None:
    message.parameters["priority"].int64_param = -1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_inputs, "has no inputs"),
        (fewer_raw, "raw_input_contents has 2 entries for 1 inputs"),
        (both_forms, "'fp32' has contents, and raw_input_contents is filled"),
        (short_raw, "'fp32': 7 bytes"),
        (twice, "'fp32' is in the request twice"),
        (unknown_input, "'y' is not an input of the model"),
        (unknown_datatype, "datatype 'FLOAT' is none of"),
        (other_datatype, "datatype is INT32, the model takes FP32"),
        (other_rank, "shape is [2], the model takes [-1, -1]"),
        (negative, "from 0 up"),
        (huge, "more than"),
        (too_few, "fp32_contents has 2 elements, the shape has 3"),
        (other_field, "fp64_contents is filled, FP32 takes fp32_contents"),
        (two_fields, "int_contents is filled, FP32 takes fp32_contents"),
        (shared_memory, "shared memory is not offered"),
        (unknown_output, "output 'z' is not an output"),
        (output_twice, "'fp32' is asked for twice"),
        (classification, "the classification extension is not offered"),
        (shared_output, "shared memory is not offered"),
        (text_timeout, "parameter timeout is not a whole number"),
        (negative_priority, "parameter priority is not a whole number"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused_with_words(
    spoil: Callable[[oip_pb2.ModelInferRequest], None], words: str
) -> None:
    message = fp32()
    spoil(message)
    with pytest.raises(errors.InvalidRequest) as caught:
        messages.decode(signature("FP32"), message)
    assert words in caught.value.message


def test_empty_contents_beside_raw_ones_are_none() -> None:
    message = fp32(raw_input_contents=[bytes(8)])
    message.inputs[0].contents.Clear()
    message.inputs[0].contents.SetInParent()
    request, is_raw = messages.decode(signature("FP32"), message)
    assert (request.inputs[0].array.tolist(), is_raw) == ([[0.0, 0.0]], True)


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 128), ("INT8", -129), ("UINT8", 256), ("INT16", 40_000)])
def test_a_number_that_the_datatype_can_not_hold_is_refused(datatype: str, value: int) -> None:
    message = oip_pb2.ModelInferRequest(model_name="m")
    entry = message.inputs.add(name=datatype.lower(), datatype=datatype, shape=[1, 1])
    getattr(entry.contents, messages.FIELDS[datatype]).append(value)
    with pytest.raises(errors.InvalidRequest, match=f"holds a number that {datatype} can't"):
        messages.decode(signature(datatype), message)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_a_datatype_without_a_typed_form_is_refused_with_the_way_out(datatype: str) -> None:
    message = oip_pb2.ModelInferRequest(model_name="m")
    message.inputs.add(name=datatype.lower(), datatype=datatype, shape=[1, 1]).contents.fp32_contents.append(1)
    with pytest.raises(errors.InvalidRequest, match="send raw_input_contents"):
        messages.decode(signature(datatype), message)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(errors.InvalidRequest, match="lacks input 'int8'"):
        messages.decode(signature("FP32", "INT8"), fp32())
