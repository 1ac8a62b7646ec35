"""Other projects' clients, from their own packages, each in a process and an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import environment
from tests.clients.conftest import MLP, PROGRAM_SECONDS, Running

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from tests.clients.conftest import Server

TRITON_AND_KSERVE = "clients"
REFUSALS = {
    "unknown model": ("there is no model 'nobody'; this server has 'mlp'", "404", "StatusCode.NOT_FOUND"),
    "unknown version": ("model 'mlp' has no version '2'; it has '1'", "404", "StatusCode.NOT_FOUND"),
    "unknown output": ("output 'z' is not an output of the model", "400", "StatusCode.INVALID_ARGUMENT"),
    "wrong shape": ("input 'input': shape is [1, 33]", "400", "StatusCode.INVALID_ARGUMENT"),
}


def test_triton_s_http_client_works_and_shows_our_words(
    mlp: Server, echo: Server, run_client: Callable[..., Any]
) -> None:
    refusals = run_client(TRITON_AND_KSERVE, "triton_http.py", mlp.http, echo.http)
    for case, (words, status, _) in REFUSALS.items():
        assert refusals[case][0] == status
        assert words in refusals[case][1]


def test_triton_s_asynchronous_http_client_works(mlp: Server, echo: Server, run_client: Callable[..., Any]) -> None:
    assert run_client(TRITON_AND_KSERVE, "triton_http_aio.py", mlp.http, echo.http) == "ok"


def test_triton_s_grpc_client_works_and_shows_our_words(
    mlp: Server, echo: Server, run_client: Callable[..., Any]
) -> None:
    refusals = run_client(TRITON_AND_KSERVE, "triton_grpc.py", mlp.grpc, echo.grpc)
    assert "there is no model 'nobody'" in refusals["stream"]
    for case, (words, _, status) in REFUSALS.items():
        assert refusals[case][0] == status
        assert words in refusals[case][1]


def test_triton_s_asynchronous_grpc_client_works(mlp: Server, echo: Server, run_client: Callable[..., Any]) -> None:
    assert run_client(TRITON_AND_KSERVE, "triton_grpc_aio.py", mlp.grpc, echo.grpc) == "ok"


def test_kserve_s_rest_client_works_and_shows_our_words(
    mlp: Server, echo: Server, run_client: Callable[..., Any]
) -> None:
    refusal = run_client(TRITON_AND_KSERVE, "kserve_rest.py", mlp.http, echo.http)
    assert "input 'input': shape is [3, 5], the model takes [-1, 32]" in refusal


def test_kserve_s_grpc_client_works(mlp: Server, echo: Server, run_client: Callable[..., Any]) -> None:
    code, words = run_client(TRITON_AND_KSERVE, "kserve_grpc.py", mlp.grpc, echo.grpc)
    assert (code, words) == ("NOT_FOUND", "there is no model 'nobody'; this server has 'mlp'")


def test_triton_s_clients_lose_nothing_while_versions_change(
    tmp_path: pathlib.Path, run_client: Callable[..., Any]
) -> None:
    """Six versions in a row, loaded by the clients themselves, while others ask over HTTP and gRPC."""
    folder, tokens = tmp_path / "models" / "mlp", tmp_path / "tokens"
    (folder / "1").mkdir(parents=True)
    shutil.copy(MLP, folder / "1" / "model.onnx")
    tokens.write_text("let-me\n")
    with Running(folder.parent, FORESAIL_REPOSITORY_TOKENS=str(tokens)) as server:
        told = run_client(TRITON_AND_KSERVE, "triton_repository.py", server.http, server.grpc, str(folder), "let-me")
    assert told["failed"] == []
    assert min(told["answered"].values()) >= 350
    assert told["refused"] == ["401", "a token is needed: send the header `Authorization: Bearer …`"]


def test_mlserver_s_types_and_codecs_understand_the_answers(mlp: Server, run_client: Callable[..., Any]) -> None:
    assert run_client("clients-mlserver", "mlserver_types.py", mlp.http, mlp.grpc) == "ok"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_perf_analyzer_measures_the_server(mlp: Server, protocol: str) -> None:
    """It reads the model's configuration and statistics before and after, and fails without them."""
    folder = environment.python("clients-perf-analyzer").parents[1]
    libraries = [environment.debian_library("libb64-0d"), *{path.parent for path in folder.rglob("libcudart.so.*")}]
    words = [str(folder / "bin" / "perf_analyzer"), "-m", "mlp", "-i", protocol, "-u", getattr(mlp, protocol)]
    # A number of requests, not a time, and nothing is called unstable: this tests that it can measure, not how fast.
    words += ["--concurrency-range", "2", "--request-count", "200"]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False,
        env={**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Throughput:" in done.stdout
    assert "Inference count:" in done.stdout


def test_a_caller_that_knows_nothing_learns_the_service_by_reflection(mlp: Server) -> None:
    program = environment.ROOT / "tests/clients/programs/reflection.py"
    done = subprocess.run(
        [sys.executable, str(program), mlp.grpc], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"][0]["shape"] == ["1", "8"]


def test_curl_gets_an_answer_from_the_line_in_the_readme(mlp: Server) -> None:
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 32], "data": [0.5] * 32}
    words = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "20"]
    done = subprocess.run(
        [*words, "-d", json.dumps({"inputs": [tensor]}), f"http://{mlp.http}/v2/models/mlp/infer"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert shutil.which("curl"), "curl is not installed"
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["outputs"][0]["shape"] == [1, 8]
