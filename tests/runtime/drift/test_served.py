"""From `foresail reference` to a server that says what drifted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foresail_runtime import __main__ as cli
from foresail_runtime.drift import reference

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable


def learn(model: pathlib.Path, folder: pathlib.Path, *more: str) -> pathlib.Path:
    random = np.random.default_rng(0)
    data = folder / "data.csv"
    table = random.normal(size=(3000, 32))
    data.write_text("\n".join([",".join(f"c{i}" for i in range(32)), *(",".join(map(str, row)) for row in table)]))
    target = folder / "reference.json"
    options = cli._parser().parse_args(["reference", str(model), str(data), str(target), *more])
    assert options.run(options) == 0
    return target


@pytest.fixture(scope="module")
def known(mlp: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return learn(mlp, tmp_path_factory.mktemp("reference"))


def body(table: np.ndarray[Any, Any]) -> dict[str, Any]:
    data = table.reshape(-1).tolist()
    return {"inputs": [{"name": "input", "shape": list(table.shape), "datatype": "FP32", "data": data}]}


async def test_a_served_model_says_which_features_drifted(
    serve: Callable[..., Any], mlp: pathlib.Path, known: pathlib.Path
) -> None:
    server = await serve(mlp, drift_reference=str(known), drift_cost=1.0)
    random = np.random.default_rng(1)
    for _ in range(200):
        table = random.normal(size=(8, 32))
        table[:, 5] += 2
        assert (await server.infer(body(table)))[0] == 200
    status, found, _ = await server.call("GET", "/v2/models/m/drift")
    assert status == 200
    assert (found["model_name"], found["reference_rows"], found["sampled_rows"]) == ("m", 3000, 1600)
    assert found["features"][0]["name"] == "input.5"
    assert next(feature["name"] for feature in found["features"] if feature["verdict"] == "major") == "input.5"
    quiet = {feature["name"]: feature["verdict"] for feature in found["features"]}
    assert quiet["input.6"] == "stable"
    text = await (await server.client.get(f"{server.address}/metrics")).text()
    series = re.findall(r'^foresail_drift_bin_total\{(.*feature="input\.5".*)\} (\S+)', text, re.MULTILINE)
    assert sum(float(value) for _, value in series) == 1600
    assert all({'model="m"', 'version="1"', 'side="input"'} <= set(labels.split(",")) for labels, _ in series)
    (psi,) = re.findall(r'^foresail_drift_psi\{.*feature="input\.5".*\} (\S+)', text, re.MULTILINE)
    assert float(psi) == pytest.approx(found["features"][0]["psi"], abs=1e-5)
    assert "foresail_drift_reference_rows{" in text
    _, description, _ = await server.call("GET", "/openapi.json")
    assert {"/v2/models/m/drift", "/v2/models/m/versions/1/drift"} <= description["paths"].keys()


async def test_a_reference_beside_the_model_is_found(
    serve: Callable[..., Any], mlp: pathlib.Path, known: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(mlp.read_bytes())
    (tmp_path / "drift-reference.json").write_bytes(known.read_bytes())
    server = await serve(tmp_path / "model.onnx")
    assert (await server.call("GET", "/v2/models/m/versions/1/drift"))[0] == 200


async def test_without_a_reference_the_answer_says_how_to_make_one(
    serve: Callable[..., Any], mlp: pathlib.Path
) -> None:
    server = await serve(mlp)
    status, found, _ = await server.call("GET", "/v2/models/m/drift")
    assert status == 404
    assert "make one with foresail reference MODEL DATA OUT.json" in found["error"]
    text = await (await server.client.get(f"{server.address}/metrics")).text()
    assert "foresail_drift_psi{" not in text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "can't be read"), ("{}", "can't be read"), ("other", "is of another model: this one has none of z")],
)
async def test_a_reference_that_does_not_fit_ends_the_start_with_a_sentence(
    *,
    serve: Callable[..., Any],
    mlp: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    content: str | None,
    sentence: str,
) -> None:
    path = tmp_path / "reference.json"
    if content == "other":
        content = reference.Reference("m", 1, (reference.of_numbers("input", "z", np.arange(3.0)),)).encode()
    if content is not None:
        path.write_text(content)
    with pytest.raises(AssertionError, match="the server ended with 1"):
        await serve(mlp, drift_reference=str(path))
    assert sentence in caplog.text


def test_a_reference_of_a_sample_has_about_as_many_rows_as_were_wished(
    mlp: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    made = reference.Reference.decode(learn(mlp, tmp_path, "--rows", "500", "--bins", "5").read_text())
    assert 400 < made.rows < 600
    assert {len(feature.edges) for feature in made.features} == {4}
    assert [feature.name for feature in made.features][:2] == ["input.0", "input.1"]
    assert made.model.startswith("sha256:")


def test_data_that_the_model_can_t_run_on_is_told(
    mlp: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    data.write_text(",".join(f"c{i}" for i in range(32)) + "\n" + ",".join(["x"] * 32))
    options = cli._parser().parse_args(["reference", str(mlp), str(data), str(tmp_path / "out.json")])
    assert options.run(options) == 1
    assert "has no row that the model can run on" in capsys.readouterr().err
