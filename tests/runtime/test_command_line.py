"""What `foresail` prints of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foresail_runtime import __main__ as cli
from foresail_runtime import contract, errors

if TYPE_CHECKING:
    import pathlib


def test_help_speaks_to_who_types_and_not_to_who_develops() -> None:
    text = cli._parser().format_help()
    assert "Open Inference Protocol" in text
    assert "|" not in text, "a table of the threads was in it, its lines joined"


def test_help_of_serve_says_what_is_served_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["serve", "--help"])
    assert {"FORESAIL_MODEL_REPOSITORY", "FORESAIL_MODEL_DESCRIPTION"} <= set(capsys.readouterr().out.split())


def test_settings_of_one_model_may_stand_on_the_command_line(mlp: pathlib.Path) -> None:
    words = ["--task", "tensors", "--providers", "OpenVINOExecutionProvider, CPUExecutionProvider", "--max-batch", "8"]
    options = cli._parser().parse_args(["serve", str(mlp), *words, "--timeout", "2.5", "--instances", "2"])
    assert cli._source(options) == contract.ModelDescription(
        name="mlp",
        uri=f"file://{mlp}",
        path=str(mlp),
        task="tensors",
        execution_providers=("OpenVINOExecutionProvider", "CPUExecutionProvider"),
        batching=contract.Batching(max_size=8),
        timeout_seconds=2.5,
        instances=2,
    )
    plain = cli._source(cli._parser().parse_args(["serve", str(mlp)]))
    assert plain == contract.ModelDescription(name="mlp", uri=f"file://{mlp}", path=str(mlp))


def test_models_of_a_folder_have_their_own_settings(tmp_path: pathlib.Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").touch()
    options = cli._parser().parse_args(["serve", str(tmp_path), "--instances", "2"])
    with pytest.raises(
        errors.ModelUnusable, match=r"instances: a model's settings stand in each model's foresail\.json"
    ):
        cli._source(options)
