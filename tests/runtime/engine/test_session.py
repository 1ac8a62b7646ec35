"""Real ONNX Runtime sessions: every datatype through, every failure in words."""

from __future__ import annotations

import contextlib
import pathlib
import resource
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from foresail_runtime import errors, tensors
from foresail_runtime.engine import session
from foresail_runtime.tensors import DATATYPES, TensorSpec
from tests.runtime.conftest import save_model

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = session.Options()
TASKS = pathlib.Path("/proc/self/task")


def example(datatype: tensors.Datatype) -> Any:
    if datatype is tensors.BYTES:
        array = np.empty((1, 2), object)
        array[0] = [b"a", "ü".encode()]
        return array
    return np.array([[0, 1]], datatype.dtype)


@pytest.mark.parametrize("name", sorted(DATATYPES))
def test_every_datatype_passes_unchanged(name: str, identity: Callable[..., pathlib.Path]) -> None:
    datatype = DATATYPES[name]
    engine = session.open_engine(identity(datatype.onnx_number), OPTIONS)
    assert engine.signature.inputs == (TensorSpec("x", datatype, (-1, 2)),)
    array = example(datatype)
    (result,) = engine.run({"x": array}, ["y"])
    np.testing.assert_array_equal(result, array)
    assert result.dtype == datatype.dtype
    (none,) = engine.run({"x": array[:0]}, ["y"])
    assert none.shape == (0, 2)


def test_a_signature_tells_fixed_from_variable_sizes(logreg: pathlib.Path) -> None:
    engine = session.open_engine(logreg, OPTIONS)
    assert engine.signature.inputs == (TensorSpec("X", tensors.FP32, (-1, 9)),)
    assert engine.signature.outputs == (
        TensorSpec("label", DATATYPES["INT64"], (-1,)),
        TensorSpec("probabilities", tensors.FP32, (-1, 2)),
    )
    assert engine.output_names == ("label", "probabilities")
    assert engine.providers == ("CPUExecutionProvider",)


def test_a_file_that_is_no_model_says_so(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "page.onnx"
    path.write_text("<!doctype html>")
    with pytest.raises(errors.ModelUnusable, match=r"can't load page\.onnx") as caught:
        session.open_engine(path, OPTIONS)
    assert caught.value.reason == "ModelInvalid"


def test_a_truncated_model_says_so(tmp_path: pathlib.Path, mlp: pathlib.Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(mlp.read_bytes()[:5000])
    with pytest.raises(errors.ModelUnusable, match=r"can't load half\.onnx"):
        session.open_engine(path, OPTIONS)


def test_a_model_that_memory_has_no_room_for_says_so(mlp: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)
    with pytest.raises(errors.ModelUnusable, match=r"can't load mlp\.onnx: std::bad_alloc; there is too little memory"):
        session.open_engine(mlp, OPTIONS)


def test_text_that_is_no_text_is_the_requests_fault(identity: Callable[..., pathlib.Path]) -> None:
    engine = session.open_engine(identity(tensors.BYTES.onnx_number), OPTIONS)
    array = np.empty((1, 2), object)
    array[0] = [b"\xff", b""]
    with pytest.raises(errors.InvalidRequest, match="input 'x' is not UTF-8"):
        engine.run({"x": array}, ["y"])


def test_an_index_out_of_range_is_the_requests_fault(tmp_path: pathlib.Path) -> None:
    table = onnx.helper.make_tensor("t", onnx.TensorProto.FLOAT, [2, 1], [1.0, 2.0])
    nodes = [
        onnx.helper.make_node("Constant", [], ["t"], value=table),
        onnx.helper.make_node("Gather", ["t", "x"], ["y"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT64, ["N"])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 1])],
    )
    path = tmp_path / "gather.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9), str(path))
    engine = session.open_engine(path, OPTIONS)
    with pytest.raises(errors.InvalidRequest, match="can't run on this request"):
        engine.run({"x": np.array([7])}, ["y"])


@pytest.mark.parametrize(
    ("words", "broken"),
    [
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=n", True),
        ("[ONNXRuntimeError] : 1 : FAIL : CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0", True),
        ("CUDA failure 2: out of memory ; GPU=0", False),
    ],
)
def test_a_device_that_fails_is_no_fault_of_the_request(mlp: pathlib.Path, words: str, broken: bool) -> None:
    engine = session.open_engine(mlp, OPTIONS)

    def fail(*_: Any) -> Any:
        raise ort_errors.Fail(words)

    engine._run = fail
    with pytest.raises(errors.ModelFailed, match="the device failed: "):
        engine.run({}, ["output"])
    assert bool(engine.broken) is broken


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_sizes_that_no_memory_has_room_for_are_the_requests_fault(tmp_path: pathlib.Path) -> None:
    node = onnx.helper.make_node("ConstantOfShape", ["x"], ["y"])
    kinds = {"x": (onnx.TensorProto.INT64, [1])}, {"y": (onnx.TensorProto.FLOAT, ["N"])}
    engine = session.open_engine(save_model(tmp_path / "m.onnx", [node], *kinds), OPTIONS)
    with pytest.raises(errors.InvalidRequest, match="asks for 4503599627370496 bytes at once to run on this request"):
        engine.run({"x": np.array([2**50])}, ["y"])
    before = resident()
    (answer,) = engine.run({"x": np.array([3 * 2**20])}, ["y"])
    assert answer.shape == (3 * 2**20,)
    assert resident() - before < 64 * 2**20, "what could not be had is not asked for again"


@pytest.mark.parametrize(("providers", "size"), [("CPUExecutionProvider", 2**20), ("CUDAExecutionProvider", 2**39)])
def test_memory_that_is_used_up_is_no_fault_of_the_request(mlp: pathlib.Path, providers: str, size: int) -> None:
    engine = session.open_engine(mlp, OPTIONS)
    engine.providers = (providers,)  # type: ignore[misc]

    def fail(*_: Any) -> Any:
        raise ort_errors.Fail(f"Failed to allocate memory for requested buffer of size {size}")

    engine._run = fail
    with pytest.raises(errors.ModelFailed, match="the model failed: "):
        engine.run({}, ["output"])


def test_runs_that_are_only_tried_are_not_told_of_on_stderr(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = onnx.helper.make_node("Reshape", ["x", "x"], ["y"])
    kinds = {"x": (onnx.TensorProto.INT64, [1])}, {"y": (onnx.TensorProto.INT64, ["N"])}
    engine = session.open_engine(save_model(tmp_path / "m.onnx", [node], *kinds), OPTIONS)
    for how, expected in ((engine.quietly(), False), (contextlib.nullcontext(), True)):
        with how, pytest.raises(errors.InvalidRequest):
            engine.run({"x": np.array([7])}, ["y"])
        assert ("Reshape" in capfd.readouterr().err) is expected


def test_a_session_has_as_many_threads_as_it_is_told(mlp: pathlib.Path) -> None:
    before = len(list(TASKS.iterdir()))
    engine = session.open_engine(mlp, session.Options(threads=3))
    assert len(list(TASKS.iterdir())) - before == 2  # the calling thread is the third
    assert engine.signature.inputs
