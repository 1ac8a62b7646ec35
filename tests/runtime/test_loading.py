"""From a model's file to what serves it: which of its requests may share a run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from foresail_runtime import contract
from tests.runtime import spotter
from tests.runtime.conftest import FLOAT, save_model

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

TOGETHER = contract.Batching(max_size=4, max_delay_milliseconds=60_000)
"""Four requests that may share a run do, at once; none waits for company that does not come."""


@pytest.mark.parametrize("warmup", [True, False])
async def test_no_wish_for_batches_lets_rows_change_each_other_s_answers(
    serve: Callable[..., Any], tmp_path: pathlib.Path, *, warmup: bool
) -> None:
    """A size that was asked for put requests together, whatever the warm-up had found, or if there was none."""
    nodes = [
        onnx.helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        onnx.helper.make_node("Div", ["x", "most"], ["y"]),
    ]
    path = save_model(tmp_path / "mixing.onnx", nodes, {"x": (FLOAT, ("N", 2))}, {"y": (FLOAT, ("N", 2))})
    server = await serve(path, {"batching": TOGETHER, "warmup": warmup})

    async def ask(number: float) -> list[float]:
        given = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [number, 2 * number]}
        _, answer = await server.infer({"inputs": [given]})
        found: list[float] = answer["outputs"][0]["data"]
        return found

    assert await asyncio.gather(*map(ask, (1.0, 2.0, 4.0, 8.0))) == [[0.5, 1.0]] * 4


async def test_an_output_that_declares_other_dimensions_than_it_has_is_described_as_it_is(
    serve: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    """CatBoost's regressors declare [N] and give [N, 1]."""
    scaler = onnx.helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0])
    path = save_model(tmp_path / "m.onnx", [scaler], {"x": (FLOAT, ("N", 1))}, {"y": (FLOAT, ("N",))})
    model = onnx.load(path)
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 1))
    onnx.save(model, path)
    server = await serve(path)
    _, described, _ = await server.call("GET", "/v2/models/m")
    _, answer = await server.infer({"inputs": [{"name": "x", "datatype": "FP32", "shape": [3, 1], "data": [1, 2, 3]}]})
    assert (described["outputs"][0]["shape"], answer["outputs"][0]["shape"]) == ([-1, 1], [3, 1])


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("numbered", [True, False])
async def test_detectors_with_a_row_a_box_share_no_run(
    serve: Callable[..., Any], tmp_path: pathlib.Path, *, numbered: bool, warmup: bool
) -> None:
    """Four pictures with a box each have as many rows as pictures, and would have been shared out as such."""
    path = spotter.save(tmp_path / "spotter.onnx", numbered=numbered)
    server = await serve(path, {"task": "object-detection", "batching": TOGETHER, "warmup": warmup})

    async def ask(*places: int) -> list[list[float]]:
        _, answer, _ = await server.call("POST", "/v2/models/m/detect", data=spotter.picture(*places))
        return [found["box"] for found in answer["detections"]]

    found = await asyncio.gather(ask(0), ask(1), ask(), ask(0, 2))
    assert [sorted(boxes) for boxes in found] == [
        [list(spotter.PLACES[place]) for place in places] for places in ((0,), (1,), (), (0, 2))
    ]


async def test_names_of_too_few_classes_are_left_aside_whether_a_shape_says_so_or_a_run(
    serve: Callable[..., Any], tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where only a run did, each picture was answered 500, and nothing named the file."""
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    server = await serve(spotter.save_untold(tmp_path / "detector.onnx"), {"task": "object-detection"})
    status, answer, _ = await server.call("POST", "/v2/models/m/detect", data=spotter.picture())
    assert (status, [found["class_name"] for found in answer["detections"]]) == (200, ["person"])
    (warning,) = [one for one in caplog.records if "is not used" in one.getMessage()]
    assert "labels.txt" in str(vars(warning))


async def test_a_model_whose_own_names_a_run_contradicts_is_not_served(
    serve: Callable[..., Any], tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = spotter.save_untold(tmp_path / "detector.onnx", names="['cat', 'dog']")
    with pytest.raises(AssertionError, match="the server ended with 1"):
        await serve(path, {"task": "object-detection"})
    assert "metadata names 2 classes, and its output [1, 84, 21]" in caplog.text
